// What tests of witnesses share: what is recorded of them, and a clone of the server.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sidecar/publish/publisher.hpp"
#include "test/unit/publish/publisher_world.hpp"

namespace anabranch::test {

inline Progress recorded(World& world) {
  return *world.progress.read("home", ProgressStore::Reach::readable).progress;
}

// Until a witness that is none of these is recorded, and the publisher has seen that.
inline void run_past(World& world, Witnesses witnesses) {
  for (int i = 0; i < 100'000; ++i) {
    const auto stored = world.progress.read("home", ProgressStore::Reach::readable).progress;
    world.publisher->step();
    if (stored && !stored->witness.empty() && !witnesses.have(stored->witness)) return;
  }
  FAIL() << "no other witness was recorded";
}

// A copy of the server with its slot, as it was at one moment, and a publisher of its own.
struct Clone {
  ModelLog log;
  ModelSource source{log};
  std::unique_ptr<RowFormat> format = make_protobuf_format();

  explicit Clone(const World& original) {
    log.units = original.log.units;
    log.confirmed = original.log.confirmed;
    log.wal_end = original.log.wal_end;
    source.witnesses = original.source.witnesses;
    source.reports = original.source.reports;
  }
  std::string stopped_by(World& world) {
    Publisher publisher(world.settings,
                        {log, world.producers, world.progress, world.topics, source, *format, world.clock, nullptr},
                        "of the clone");
    try {
      for (int i = 0; i < 100; ++i) publisher.step();
    } catch (const PublishStopped& stopped) {
      return stopped.reason();
    }
    return "nothing";
  }
};

}  // namespace anabranch::test
