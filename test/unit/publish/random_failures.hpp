// What the random runs of the publisher share: many seeds, and a Kafka whose calls fail now and then.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "test/unit/publish/publisher_world.hpp"

namespace anabranch::test {

// Runs a case with each of 1,000 seeds, or with the one that ANABRANCH_SEED names, up to the first that fails.
inline void for_each_seed(const std::function<void(uint64_t seed)>& run) {
  const char* given = std::getenv("ANABRANCH_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const uint64_t seeds = given != nullptr ? 1 : 1000;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("ANABRANCH_SEED=" + std::to_string(seed));
    run(seed);
    if (::testing::Test::HasFailure()) FAIL() << "seed " << seed;
  }
}

// The publisher is killed: nothing catches it but the test.
struct Killed {};

// Of each so many calls of Kafka one fails, before or after it has had its effect, with an error that passes or a kill,
// until there were enough failures; until then others' records take offsets between ours as often. Outlives the world's
// steps.
class RandomFailures {
 public:
  using Below = std::function<uint64_t(uint64_t bound)>;

  RandomFailures(World& world, Below below, uint64_t one_in, uint64_t failures)
      : below_(std::move(below)), one_in_(one_in), left_(failures) {
    world.kafka.before_step = [this, &kafka = world.kafka](const char*) {
      if (!kafka.topics.empty() && strikes()) take_offsets(kafka);
      maybe_fail();
    };
    world.kafka.after_commit = [this] { maybe_fail(); };
  }
  RandomFailures(const RandomFailures&) = delete;
  RandomFailures& operator=(const RandomFailures&) = delete;

  bool strikes() const { return left_ > 0 && below_(one_in_) == 0; }

 private:
  void take_offsets(KafkaModel& kafka) {
    auto topic = kafka.topics.begin();
    std::advance(topic, below_(kafka.topics.size()));
    kafka.take_offsets(topic->first, below_(topic->second.size()), 1 + static_cast<int64_t>(below_(3)));
  }
  void maybe_fail() {
    if (!strikes()) return;
    --left_;
    if (below_(2) == 0) throw Killed{};
    throw ProducerError(ProducerError::Kind::passes, "injected");
  }

  Below below_;
  uint64_t one_in_, left_;
};

}  // namespace anabranch::test
