#include "sidecar/publish/startup_facts.hpp"

#include <utility>

namespace anabranch {

StartupFacts facts_of_topics(StoredProgress stored, TopicAdmin& topics, const TopicNames& names) {
  StartupFacts facts;
  facts.stored = std::move(stored);
  facts.cluster_id = topics.cluster_id();
  for (const TopicPosition& position : facts.stored.topics)
    facts.topics.push_back({position.topic, position.next_offsets, topics.ends(position.topic)});
  if (const auto ends = topics.ends(names.transaction()); ends && !ends->empty()) facts.transaction_end = ends->front();
  return facts;
}

}  // namespace anabranch
