// Looking at the end of the topics begins with the right transaction, however the topic is cut.
#include "sidecar/log/topic_tail.hpp"

#include <gtest/gtest.h>

#include "sidecar/log/topic_transactions.hpp"
#include "test/unit/log/topic_model.hpp"

namespace anabranch {
namespace {

using test::insert;
using test::ModelPublisher;
using test::ModelTopics;

struct TopicTailTest : ::testing::Test {
  ModelTopics topics{5};
  ModelPublisher publisher{topics};

  TopicTailTest() {
    publisher.relation(1);
    publisher.relation(2);
    publisher.position(0x100);
  }

  // The ends of the transactions that a look at the last `count` shows.
  std::vector<uint64_t> shown(uint64_t count, std::set<std::string> only = {}) {
    const TopicTail tail = find_tail(topics, "p.transaction", count, only);
    TopicTransactionsOptions options;
    options.transaction_topic = "p.transaction";
    options.relation_topic = "p.relation";
    options.message_prefix = "p.message.";
    options.shown = std::move(only);
    TopicTransactions transactions(topics, options, tail.from, tail.offset);
    std::vector<uint64_t> ends;
    for (int64_t offset = -1; offset < tail.last_offset;) {
      const auto piece = transactions.next(std::chrono::milliseconds(0), {});
      if (!piece) continue;
      offset = piece->log_offset;
      if (piece->last() && !piece->changes.empty()) ends.push_back(piece->end_lsn->value());
    }
    return ends;
  }
};

TEST_F(TopicTailTest, ShowsTheLastTransactionsWhateverStandsBetween) {
  for (uint64_t n = 1; n <= 5; ++n) {
    publisher.transaction(n, 0x1000 * n, {insert(1, 0, "a")});
    publisher.content();
    publisher.position(0x1000 * n + 0x100, n == 4);  // a loss that was accepted, too
    publisher.content();
  }
  EXPECT_EQ(shown(1), (std::vector<uint64_t>{0x5000}));
  EXPECT_EQ(shown(3), (std::vector<uint64_t>{0x3000, 0x4000, 0x5000}));
  EXPECT_EQ(shown(99).size(), 5U);
  EXPECT_EQ(find_tail(topics, "p.transaction", 0, {}).from, Lsn(0x5100));
}

TEST_F(TopicTailTest, ShowsWhatStandsBeforeAndBehindAnAdoption) {
  for (uint64_t n = 1; n <= 700; ++n) publisher.transaction(n, 0x1000 * n, {insert(1, 0, "a")});
  publisher.adopt(0x2000);
  publisher.transaction(701, 0x3000, {insert(1, 0, "b")});
  publisher.adopt_without_progress(0x2800);
  publisher.transaction(702, 0x4000, {insert(1, 0, "c")});
  EXPECT_EQ(shown(1), (std::vector<uint64_t>{0x4000}));
  EXPECT_EQ(shown(2), (std::vector<uint64_t>{0x3000, 0x4000}));
  EXPECT_EQ(shown(4), (std::vector<uint64_t>{0x1000 * 699, 0x1000 * 700, 0x3000, 0x4000}));
}

TEST_F(TopicTailTest, CountsOnlyTransactionsOfTheTopicsAskedFor) {
  publisher.transaction(1, 0x1000, {insert(2, 0, "a")});
  for (uint64_t n = 2; n <= 700; ++n) publisher.transaction(n, 0x1000 * n, {insert(1, 0, "a")});
  publisher.transaction(701, 0x1000 * 701, {insert(2, 0, "b"), insert(1, 0, "c")});
  EXPECT_EQ(shown(1, {publisher.topic(2)}), (std::vector<uint64_t>{0x1000 * 701}));
  EXPECT_EQ(shown(2, {publisher.topic(2)}), (std::vector<uint64_t>{0x1000, 0x1000 * 701}));
}

TEST_F(TopicTailTest, LeavesOutWhatHasNoEndYetAndWhatBeganBeforeTheTopicDoes) {
  publisher.transaction(1, 0x1000, {insert(1, 0, "a"), insert(1, 0, "b"), insert(1, 0, "c")}, 1);
  publisher.transaction(2, 0x2000, {insert(1, 0, "d")});
  publisher.transaction(3, 0x3000, {insert(1, 0, "e"), insert(1, 0, "f")}, 1);
  auto& partition = topics.partition("p.transaction");
  partition.remove_before(partition.records.at(2).offset);  // the first part of transaction 1
  partition.end = partition.records.back().offset;          // the last part of transaction 3
  partition.records.pop_back();
  EXPECT_EQ(shown(10), (std::vector<uint64_t>{0x2000}));
}

TEST_F(TopicTailTest, FollowsFromBeforeTheFirstPublication) {
  ModelTopics later;
  TopicTransactionsOptions options;
  options.transaction_topic = "p.transaction";
  options.relation_topic = "p.relation";
  options.message_prefix = "p.message.";
  options.shown.emplace();
  const TopicTail tail = find_tail(later, "p.transaction", 10, {});
  TopicTransactions transactions(later, options, tail.from, tail.offset);
  EXPECT_FALSE(transactions.next(std::chrono::milliseconds(0), {}));
  ModelPublisher first(later);
  first.relation(1);
  first.position(0x100);
  first.transaction(1, 0x1000, {insert(1, 0, "a")});
  std::vector<Lsn> ends;
  for (int i = 0; i < 50; ++i)
    if (const auto piece = transactions.next(std::chrono::milliseconds(0), {})) ends.push_back(*piece->end_lsn);
  EXPECT_EQ(ends, (std::vector<Lsn>{Lsn(0x100), Lsn(0x1000)}));
}

TEST_F(TopicTailTest, SaysThatNothingHasBeenPublished) {
  ModelTopics empty;
  EXPECT_FALSE(find_tail(empty, "p.transaction", 10, {}).from.valid());
}

}  // namespace
}  // namespace anabranch
