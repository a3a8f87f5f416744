// What a start is decided by, as far as Kafka tells it.
#pragma once

#include <string>

#include "sidecar/publish/startup.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

// `stored` and what the topics it speaks of are now. The source, the names in the settings and what the process knows
// are left to the caller. Throws ProducerError.
StartupFacts facts_of_topics(StoredProgress stored, TopicAdmin& topics, const TopicNames& names);

// Whether the progress topic still holds the witness that was judged by `decision`, or the decision is about none. A
// publisher that runs renews it, and its database's with it: who has read the one before and the other after that sees
// Reason::other_history where there is none. Throws as ProgressStore::read().
bool still_about(const StartupDecision& decision, const StoredProgress& judged, ProgressStore& store,
                 const std::string& source);

}  // namespace anabranch
