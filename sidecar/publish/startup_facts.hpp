// What a start is decided by, as far as Kafka tells it.
#pragma once

#include <string>

#include "sidecar/publish/startup.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

// `stored` and what the topics it speaks of are now. The source, the names in the settings and what the process knows
// are left to the caller. Throws ProducerError.
StartupFacts facts_of_topics(StoredProgress stored, TopicAdmin& topics, const TopicNames& names);

// False for Reason::other_history where the progress topic holds another witness now than the one that was judged: a
// publisher that runs has renewed it, and its database's with it, between the reading of the one and of the other. Then
// both are to be read again. Throws as ProgressStore::read().
bool still_stands(const StartupDecision& decision, const StoredProgress& judged, ProgressStore& store,
                  const std::string& source);

}  // namespace anabranch
