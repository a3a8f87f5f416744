#include "sidecar/publish/startup_facts.hpp"

#include <algorithm>
#include <utility>

namespace anabranch {
namespace {

// One that was adopted after its end may not have been made again.
bool was_there(const TopicPosition& position) {
  return std::any_of(position.next_offsets.begin(), position.next_offsets.end(),
                     [](int64_t offset) { return offset > 0; });
}

}  // namespace

StartupFacts facts_of_topics(StoredProgress stored, TopicAdmin& topics, const TopicNames& names) {
  StartupFacts facts;
  facts.stored = std::move(stored);
  facts.cluster_id = topics.cluster_id();
  for (const TopicPosition& position : facts.stored.topics)
    facts.topics.push_back({position.topic, position.next_offsets, topics.ends(position.topic, was_there(position))});
  const bool published = facts.stored.progress && facts.stored.progress->transaction_offset >= 0;
  if (const auto ends = topics.ends(names.transaction(), published); ends && !ends->empty())
    facts.transaction_end = ends->front();
  return facts;
}

bool still_stands(const StartupDecision& decision, const StoredProgress& judged, ProgressStore& store,
                  const std::string& source) {
  if (decision.reason != StartupDecision::Reason::other_history) return true;
  const std::optional<Progress> now = store.read(source, ProgressStore::Reach::readable).progress;
  return now && now->witness == judged.progress->witness;
}

}  // namespace anabranch
