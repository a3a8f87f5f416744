#include "sidecar/cli/config_values.hpp"

namespace anabranch {
namespace {

constexpr size_t value_bytes_max = 4096;

}  // namespace

std::string_view type_name(const toml::node& value) {
  switch (value.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a number";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string text_of(const toml::node& value, std::string_view example) {
  const auto* text = value.as_string();
  if (text == nullptr)
    throw Refusal{fmt::format("is {}, not a string", type_name(value)), fmt::format("write it as \"{}\"", example)};
  if (text->get().empty()) throw Refusal{"is empty", "give it a value, or leave the line out"};
  if (text->get().size() > value_bytes_max) throw Refusal{"is longer than 4096 bytes", "shorten it"};
  if (text->get().find('\0') != std::string::npos) throw Refusal{"holds a NUL character", "take it out"};
  return text->get();
}

int64_t number_of(const toml::node& value, int64_t least, int64_t most) {
  const auto* number = value.as_integer();
  if (number == nullptr)
    throw Refusal{fmt::format("is {}, not a whole number", type_name(value)),
                  fmt::format("write a number from {} to {}, without quotes", least, most)};
  if (number->get() < least || number->get() > most)
    throw Refusal{fmt::format("is {}, outside {} to {}", number->get(), least, most),
                  fmt::format("write a number from {} to {}", least, most)};
  return number->get();
}

std::vector<std::string> texts_of(const toml::node& value, std::string_view example) {
  const auto* list = value.as_array();
  if (list == nullptr)
    throw Refusal{fmt::format("is {}, not a list", type_name(value)), fmt::format("write it as [\"{}\"]", example)};
  std::vector<std::string> texts;
  for (const auto& one : *list) texts.push_back(text_of(one, example));
  return texts;
}

bool truth_of(const toml::node& value) {
  const auto* truth = value.as_boolean();
  if (truth == nullptr)
    throw Refusal{fmt::format("is {}, neither true nor false", type_name(value)),
                  "write true or false, without quotes"};
  return truth->get();
}

}  // namespace anabranch
