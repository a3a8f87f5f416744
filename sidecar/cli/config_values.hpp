// What a key of the settings file may hold: each function reads one kind of value, or throws why it is refused.
#pragma once

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <initializer_list>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <utility>
#include <vector>

namespace anabranch {

// Why a value is refused, and what to write instead. Thrown by the functions below.
struct Refusal {
  std::string problem;
  std::string remedy;
};

// "a string", "a number", ...: what a value is, for messages.
std::string_view type_name(const toml::node& value);

// A string of 1 to 4096 bytes without NUL; `example` is for messages.
std::string text_of(const toml::node& value, std::string_view example);
// A list of such strings.
std::vector<std::string> texts_of(const toml::node& value, std::string_view example);
int64_t number_of(const toml::node& value, int64_t least, int64_t most);
bool truth_of(const toml::node& value);

// An amount with its unit, by `parse`, between the amounts that `least` and `most` spell.
template <typename Parse>
auto amount_of(const toml::node& value, Parse parse, std::string_view least, std::string_view most) {
  try {
    if (!value.is_string())
      throw Refusal{fmt::format("is {}, not a string with a unit", type_name(value)),
                    fmt::format("write it as in \"{}\"", most)};
    const auto text = text_of(value, most);
    const auto amount = parse(text);
    if (amount < parse(least) || amount > parse(most))
      throw Refusal{fmt::format("is \"{}\", outside {} to {}", printable(text), least, most),
                    "write an amount between the two"};
    return amount;
  } catch (const UnitError& error) {
    throw Refusal{error.problem, error.remedy};
  }
}

// One of the texts named; what each means.
template <typename Choice>
Choice choice_of(const toml::node& value, std::initializer_list<std::pair<std::string_view, Choice>> choices) {
  std::string known;
  for (const auto& [name, meaning] : choices) known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
  const auto text = text_of(value, choices.begin()->first);
  for (const auto& [name, meaning] : choices)
    if (name == text) return meaning;
  throw Refusal{fmt::format("is \"{}\", which is unknown", printable(text)), fmt::format("write one of {}", known)};
}

}  // namespace anabranch
