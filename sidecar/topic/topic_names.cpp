#include "sidecar/topic/topic_names.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "sidecar/topic/stable_hash.hpp"

namespace anabranch {
namespace {

// Leaves room for a table's name beside it, in most cases.
constexpr size_t prefix_bytes_max = 100;

bool stands_in_a_topic(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

std::string cut(std::string name) {
  if (name.size() <= topic_name_bytes_max) return name;
  const std::string hash = "." + fingerprint_text(stable_hash(name));
  name.resize(topic_name_bytes_max - hash.size());
  return name + hash;
}

}  // namespace

std::string topic_part(std::string_view name) {
  std::string part;
  for (const char c : name) {
    if (stands_in_a_topic(c))
      part += c;
    else
      part += fmt::format("_x{:02X}", static_cast<unsigned char>(c));
  }
  return part;
}

TopicNames::TopicNames(std::string prefix) : prefix_(std::move(prefix)) {
  if (prefix_.empty() || prefix_.size() > prefix_bytes_max ||
      !std::all_of(prefix_.begin(), prefix_.end(), stands_in_a_topic))
    throw std::invalid_argument(fmt::format(
        "cannot begin the names of topics: use 1 to {} of the characters a-z, A-Z, 0-9, \".\", \"_\" and \"-\"",
        prefix_bytes_max));
}

std::string TopicNames::table(std::string_view schema, std::string_view name) const {
  return cut(prefix_ + "." + topic_part(schema) + "." + topic_part(name));
}

std::string TopicNames::latest(std::string_view schema, std::string_view name) const {
  return cut(prefix_ + "." + topic_part(schema) + "." + topic_part(name) + ".latest");
}

std::string TopicNames::message(std::string_view message_prefix) const {
  return cut(this->message_prefix() + topic_part(message_prefix));
}

bool TopicNames::is_own(std::string_view topic) const {
  return topic == transaction() || topic == relation() || topic == progress();
}

}  // namespace anabranch
