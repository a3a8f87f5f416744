// What a start is decided by, as far as Kafka tells it.
#pragma once

#include "sidecar/publish/startup.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

// `stored` and what the topics it speaks of are now. The source, the names in the settings and what the process knows
// are left to the caller. Throws ProducerError.
StartupFacts facts_of_topics(StoredProgress stored, TopicAdmin& topics, const TopicNames& names);

}  // namespace anabranch
