// The keys of the settings file that stand for one setting each, in the order of docs/configuration.md. [kafka.table]
// and [kafka.properties], whose keys are the user's, are read by config.cpp, and [index.NAME] by config_index.cpp.
#pragma once

#include "sidecar/cli/settings.hpp"

#include <string>
#include <string_view>
#include <toml++/toml.h>

namespace anabranch {

constexpr std::string_view home_section = "source.home";
constexpr std::string_view kafka_section = "kafka";
constexpr std::string_view properties_section = "kafka.properties";
constexpr std::string_view index_section = "index.NAME";  // each of them, in advice

// Puts a value where it belongs. False where the section has no such key; throws Refusal (config_values.hpp).
bool read_key(std::string_view section, std::string_view name, const toml::node& value, Settings& settings);

// What to do about a key that does not exist: the nearest that does, in this section or another.
std::string key_advice(std::string_view section, std::string_view name);

// "never", "initial" or "when_needed", of [kafka] and of one table. Throws Refusal.
ContentMode content_mode_of(const toml::node& value);

}  // namespace anabranch
