#include "sidecar/publish/topics.hpp"

namespace anabranch {
namespace {

// nullptr: none was chosen.
const std::string* chosen_topic(const ChosenTopics& chosen, const std::string& schema, const std::string& name,
                                const std::string& qualified) {
  auto found = chosen.find(qualified);
  if (found == chosen.end()) found = chosen.find(schema + "." + name);
  return found == chosen.end() ? nullptr : &found->second;
}

}  // namespace

std::string topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                           const std::string& name, const std::string& qualified) {
  if (const auto* topic = chosen_topic(chosen, schema, name, qualified)) return names.prefix() + "." + *topic;
  return names.table(schema, name);
}

std::string latest_topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                                  const std::string& name, const std::string& qualified) {
  if (const auto* topic = chosen_topic(chosen, schema, name, qualified))
    return names.prefix() + "." + *topic + ".latest";
  return names.latest(schema, name);
}

const char* cleanup_policy(TopicKind kind) {
  return kind == TopicKind::compacted || kind == TopicKind::latest ? "compact" : "delete";
}

}  // namespace anabranch
