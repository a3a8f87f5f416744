#include "sidecar/index/search_names.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr std::size_t name_bytes_max = 255;  // of the engines
constexpr std::size_t generation_digits = 6;
constexpr std::string_view writer_suffix = "-write";
// Room for "-", a generation of 19 digits and the suffix.
constexpr std::size_t alias_bytes_max = name_bytes_max - 20 - writer_suffix.size();
constexpr std::string_view never_in_names = "\\/*?\"<>| ,#:";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What engines hold against a name; empty: nothing.
std::string problem_of(const std::string& name) {
  if (name.empty()) return "is empty";
  if (name.size() > alias_bytes_max) return fmt::format("is longer than {} bytes", alias_bytes_max);
  if (std::string_view("-_+.").find(name[0]) != std::string_view::npos)
    return fmt::format("begins with \"{}\"", name[0]);
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') return "has capital letters";
    if (static_cast<unsigned char>(c) < 0x20 || never_in_names.find(c) != std::string_view::npos)
      return "has characters that no index name may have";
  }
  return "";
}

}  // namespace

std::string reader_alias(const IndexDefinition& definition) {
  std::string name = definition.name;
  if (const auto option = definition.options.find("index"); option != definition.options.end()) {
    if (!option->is_string())
      throw IndexError(IndexError::Kind::refused, "the option \"index\" is no text", "give it the index's name");
    name = option->get<std::string>();
  }
  if (const auto problem = problem_of(name); !problem.empty())
    throw IndexError(IndexError::Kind::refused,
                     fmt::format("search engines do not take \"{}\" as an index's name: it {}", name, problem),
                     "choose one with the option \"index\": small letters, digits, \"-\" and \"_\"");
  return name;
}

std::string generation_name(const std::string& alias, int64_t generation) {
  return fmt::format("{}-{:0{}}", alias, generation, generation_digits);
}

std::optional<int64_t> generation_of(std::string_view name, std::string_view alias) {
  if (!name.starts_with(alias) || !name.substr(alias.size()).starts_with('-')) return std::nullopt;
  const auto digits = name.substr(alias.size() + 1);
  int64_t generation = 0;
  if (digits.size() < generation_digits || !std::all_of(digits.begin(), digits.end(), is_digit) ||
      std::from_chars(digits.data(), digits.data() + digits.size(), generation).ec != std::errc())
    return std::nullopt;
  return generation;
}

std::string writer_alias(const std::string& generation_name) {
  return generation_name + std::string(writer_suffix);
}

}  // namespace anabranch
