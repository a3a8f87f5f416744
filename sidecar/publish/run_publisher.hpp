// The run of a publisher: sessions with the server, one after the other, until stopped.
#pragma once

#include "sidecar/run.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Publishes the source to Kafka until `stop` is requested. A server that goes away is waited for, and so are brokers.
// Returns when stopped, having aborted what was begun; throws RunError. settings.kafka must be there.
void run_publisher(const RunSettings& settings, const Stop& stop);

}  // namespace anabranch
