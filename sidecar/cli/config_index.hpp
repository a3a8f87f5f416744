// The sections [index.NAME] of the settings file, in the order of docs/configuration.md.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "sidecar/cli/config.hpp"
#include "sidecar/index/settings.hpp"

namespace anabranch {

// Reads `value`, which stands for `key` "index" and should hold a section for each engine. What is wrong is added to
// `mistakes`; what is returned then is not to be used.
IndexSections read_indexes(const toml::key& key, const toml::node& value, std::vector<Mistake>& mistakes);

// The keys of such a section, for advice; valid for good.
std::span<const std::string_view> index_key_names();

}  // namespace anabranch
