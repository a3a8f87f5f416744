// The publisher at random: sizes, failures, kills, clones. Each case has a seed, which a failure names.
#include "sidecar/publish/publisher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "sidecar/pg/result.hpp"
#include "test/unit/publish/publisher_clone.hpp"
#include "test/unit/publish/publisher_world.hpp"
#include "test/unit/publish/random_failures.hpp"

namespace anabranch {
namespace {

using test::Clone;
using test::for_each_seed;
using test::Killed;
using test::RandomFailures;
using test::recorded;
using test::World;

// At any moment a copy is made, and started at any later one. Once a witness is recorded that was made after it, it
// publishes nothing and fences nobody; the original, whatever becomes of it, is never taken for a clone, nor is a
// standby that ends at P.
TEST(Publisher, TellsClonesUnderRandomFailures) {
  int told = 0;
  for_each_seed([&](uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t bound) { return random() % bound; };
    World world;
    world.log.wal_end = Lsn(100);
    world.settings.batch.records_max = 1 + below(20);
    world.settings.idle_interval = std::chrono::milliseconds(10);
    world.settings.witness_interval = std::chrono::milliseconds(1 + below(300));
    world.start();
    const RandomFailures failures{world, below, 3 + below(60), below(12)};
    world.kafka.repeat_commit = [&] { return failures.strikes(); };
    world.kafka.delay_is_over = [&] { return below(3) == 0; };
    int renewed_in = 0;
    world.source.before_renewal = [&] {
      if (below(8) == 0) throw PgError("55P03", "canceling statement due to lock timeout");
      renewed_in = world.kafka.epoch;
    };
    const auto& renewals = world.source.renewals;
    std::optional<Clone> clone;
    size_t renewals_of_the_clone = 0;
    bool is_told = false;
    world.kafka.after_commit = [&, fail = world.kafka.after_commit] {
      const Progress progress = recorded(world);
      // One that a producer leaves behind is another's only once it has renewed it.
      if (clone && renewals.size() > renewals_of_the_clone && renewed_in == world.kafka.epoch &&
          progress.lsn >= renewals.back().first)
        is_told = true;
      const auto behind =
          std::find_if(renewals.rbegin(), renewals.rend(), [&](const auto& one) { return one.first <= progress.lsn; });
      if (!progress.witness.empty()) {
        ASSERT_NE(behind, renewals.rend());
        EXPECT_TRUE(behind->second.have(progress.witness)) << "of a standby that ends at " << progress.lsn.value();
      }
      fail();
    };
    const uint64_t rounds = 10 + below(30);
    const uint64_t copied_in = below(rounds), started_in = copied_in + below(rounds - copied_in);
    for (uint64_t round = 0; round < rounds; ++round) {
      if (below(2) == 0) {
        world.log.wal_end = Lsn(world.log.wal_end.value() + 10 + below(100));
        std::vector<int> keys(1 + (below(6) == 0 ? below(60) : below(4)));
        world.insert(10 + round, world.log.wal_end.value(), keys, 1 + below(8));
      }
      try {
        for (uint64_t steps = below(60); steps > 0; --steps) world.publisher->step();
        if (below(10) == 0) world.start();
      } catch (const Killed&) {
        world.start();
      }
      if (round == copied_in) {
        clone.emplace(world);
        renewals_of_the_clone = renewals.size();
      }
      if (round < started_in || !is_told || below(2) == 0) continue;
      clone->log.wal_end = Lsn(world.log.wal_end.value() + 1'000);
      const int epoch = world.kafka.epoch;
      const auto committed = world.kafka.committed.size();
      EXPECT_EQ(clone->stopped_by(world), "other_history");
      EXPECT_EQ(world.kafka.epoch, epoch);
      EXPECT_EQ(world.kafka.committed.size(), committed);
      ++told;
    }
    world.insert(100, world.log.wal_end.value() + 10, {1});
    world.log.wal_end = world.log.units.back().end;
    for (int attempt = 0; attempt < 100; ++attempt) {
      try {
        world.run();
        break;
      } catch (const Killed&) {
        world.start();
      }
    }
    world.expect_exactly_once();
  });
  EXPECT_TRUE(told > 100 || std::getenv("ANABRANCH_SEED") != nullptr) << told;
}

// Everything random: sizes, failures of every call before and after it has had its effect, kills, slots that forget.
TEST(Publisher, IsExactUnderRandomFailures) {
  for_each_seed([](uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t bound) { return random() % bound; };
    World world;
    world.settings.batch.records_max = 1 + below(20);
    world.settings.batch.bytes_max = 50 + below(500);
    world.settings.batch_behind.records_max = 1 + below(100);
    world.settings.part_records_max = 1 + below(20);
    world.settings.part_bytes_max = 50 + below(500);
    world.start();
    uint64_t lsn = 100;
    for (uint64_t unit = 0; unit < 3 + below(15); ++unit) {
      lsn += 10 + below(100);
      std::vector<int> keys(1 + (below(6) == 0 ? below(60) : below(4)));
      for (int& key : keys) key = static_cast<int>(below(10));
      world.insert(10 + unit, lsn, keys, 1 + below(8));
    }
    const RandomFailures failures{world, below, 3 + below(60), below(12)};
    // Near, far behind, and from one to the other within a Kafka transaction.
    world.kafka.before_step = [&, fail = world.kafka.before_step](const char* step) {
      if (below(20) == 0) world.clock.postgres_us = below(2) == 0 ? 0 : 60'000'000;
      fail(step);
    };
    world.kafka.repeat_commit = [&] { return failures.strikes(); };
    world.kafka.delay_is_over = [&] { return below(3) == 0; };
    world.kafka.after_commit = [&, fail = world.kafka.after_commit,
                                reached = std::tuple<Lsn, uint32_t, uint64_t>()]() mutable {
      const Progress progress = *world.progress.read("home", ProgressStore::Reach::readable).progress;
      const std::tuple now(progress.lsn, progress.parts, progress.records);
      EXPECT_GE(now, reached) << "what is recorded never falls";
      reached = now;
      fail();
    };
    for (int round = 0; round < 100; ++round) {
      try {
        world.run();
        break;
      } catch (const Killed&) {
        // A slot is saved at checkpoints only; what was confirmed since is forgotten.
        if (below(2) == 0 && world.log.confirmed > Lsn(100))
          world.log.confirmed = Lsn(100 + below(world.log.confirmed.value() - 100));
        world.start();
      }
    }
    world.expect_exactly_once();
  });
}

}  // namespace
}  // namespace anabranch
