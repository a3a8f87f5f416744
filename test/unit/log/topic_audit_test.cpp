// An audit finds what a reader need not see: records of no transaction, before, between and after those of others.
#include "sidecar/log/topic_audit.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/log/topic_model.hpp"

namespace anabranch {
namespace {

using test::insert;
using test::ModelPublisher;
using test::ModelTopics;
using test::StoredPartition;
using test::StoredRecord;
using ::testing::HasSubstr;

struct TopicAuditTest : ::testing::Test {
  ModelTopics topics{3};
  ModelPublisher publisher{topics};

  TopicAuditTest() {
    publisher.relation(1);
    publisher.position(0x100);
    publisher.transaction(11, 0x200, {insert(1, 0, "a"), insert(1, 1, "b")});
    publisher.abort_something();
    publisher.transaction(12, 0x300, {insert(1, 1, "c"), insert(1, 0, "d"), insert(1, 1, "e")}, 2);
    publisher.position(0x380);
    publisher.transaction(13, 0x400, {insert(1, 0, "f")});
  }

  StoredPartition& partition(int32_t number) { return topics.partition(publisher.topic(1), number); }

  AuditReport audit() {
    AuditOptions options;
    options.transaction_topic = "p.transaction";
    options.relation_topic = "p.relation";
    options.message_prefix = "p.message.";
    return audit_topics(topics, options);
  }
  std::string violation(LogError::Kind kind = LogError::Kind::damaged) {
    try {
      audit();
    } catch (const LogError& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "no violation";
    return "";
  }
  // As a producer would that is none of ours, or a transaction whose record was lost.
  void stray(int32_t number, const std::string& lsn) {
    StoredRecord record = partition(0).records[0];
    record.lsn = lsn;
    partition(number).add(record);
  }
};

TEST_F(TopicAuditTest, CountsWhatIsWhole) {
  const AuditReport report = audit();
  EXPECT_EQ(report.transactions, 3u);
  EXPECT_EQ(report.positions, 1u);
  EXPECT_EQ(report.records, 6u);
  EXPECT_EQ(report.expired, 0u);
  EXPECT_EQ(report.unfinished, 0u);
  EXPECT_EQ(report.first, Lsn(0x100));
  EXPECT_EQ(report.last, Lsn(0x400));
}

TEST_F(TopicAuditTest, BeginsAfterWhatRetentionRemovedOfTheRows) {
  partition(1).remove_before(partition(1).records[1].offset);  // "b" of transaction 11
  const AuditReport report = audit();
  EXPECT_EQ(report.expired, 2u);
  EXPECT_EQ(report.transactions, 2u);
  EXPECT_EQ(report.first, Lsn(0x200));
}

TEST_F(TopicAuditTest, BeginsAfterWhatRetentionRemovedOfTheTransactions) {
  topics.partition("p.transaction").remove_before(8);  // in the middle of transaction 12
  const AuditReport report = audit();
  EXPECT_EQ(report.expired, 1u);
  EXPECT_EQ(report.transactions, 1u);
  EXPECT_EQ(report.first, Lsn(0x300));
}

TEST_F(TopicAuditTest, EndsBeforeATransactionWhoseEndIsMissing) {
  publisher.transaction(14, 0x500, {insert(1, 0, "g"), insert(1, 1, "h")}, 1);
  topics.partition("p.transaction").records.pop_back();
  const AuditReport report = audit();
  EXPECT_EQ(report.unfinished, 1u);
  EXPECT_EQ(report.last, Lsn(0x400));
}

TEST_F(TopicAuditTest, PassesOverALossThatWasAccepted) {
  publisher.position(0x600, true);
  publisher.transaction(14, 0x700, {insert(1, 0, "g")});
  EXPECT_EQ(audit().accepted_losses, 1u);
}

TEST_F(TopicAuditTest, PassesOverEveryKindOfAdoption) {
  publisher.adopt(0x400);  // a topic was lost
  publisher.transaction(14, 0x500, {insert(1, 0, "g"), insert(1, 1, "h"), insert(1, 2, "i")});
  publisher.adopt(0x250);  // a server was restored
  publisher.transaction(15, 0x280, {insert(1, 0, "j")});
  publisher.transaction(16, 0x600, {insert(1, 0, "k"), insert(1, 1, "l"), insert(1, 2, "m")}, 1);
  topics.partition("p.transaction").records.pop_back();  // given up half way
  partition(2).records.pop_back();
  publisher.rewind(0x280);
  publisher.adopt(0x280);
  publisher.transaction(17, 0x700, {insert(1, 0, "n"), insert(1, 1, "o")});
  publisher.adopt_without_progress(0x680);
  publisher.transaction(18, 0x800, {insert(1, 0, "p")});
  const AuditReport report = audit();
  EXPECT_EQ(report.accepted_losses, 4u);
  EXPECT_EQ(report.transactions, 7u);
  EXPECT_EQ(report.last, Lsn(0x800));
  EXPECT_EQ(report.unfinished, 0u);
}

TEST_F(TopicAuditTest, BeginsWithAnAdoptionThatRetentionHasLeft) {
  publisher.adopt(0x250);
  publisher.transaction(15, 0x280, {insert(1, 0, "j")});
  topics.partition("p.transaction").remove_before(topics.partition("p.transaction").records[6].offset);
  EXPECT_EQ(audit().transactions, 1u);
}

TEST_F(TopicAuditTest, HasNothingToSayOfEmptyTopics) {
  ModelTopics empty;
  ModelPublisher begun(empty);
  topics.partitions = empty.partitions;
  EXPECT_EQ(audit().transactions, 0u);
  begun.position(0x100);
  topics.partitions = empty.partitions;
  EXPECT_EQ(audit().last, Lsn(0x100));
}

TEST_F(TopicAuditTest, FindsARecordBetweenTwoTransactions) {
  stray(0, "0/400");
  publisher.transaction(14, 0x500, {insert(1, 0, "g")});
  EXPECT_THAT(violation(), HasSubstr("belongs to no transaction"));
}

TEST_F(TopicAuditTest, FindsARecordAfterTheLast) {
  stray(1, "0/300");
  EXPECT_THAT(violation(), HasSubstr("belongs to no transaction"));
}

TEST_F(TopicAuditTest, FindsARecordWhereNoTransactionHasAny) {
  stray(2, "0/300");
  EXPECT_THAT(violation(), HasSubstr("partition 2"));
}

TEST_F(TopicAuditTest, FindsARecordWithoutHeaders) {
  stray(2, "");
  EXPECT_THAT(violation(), HasSubstr("belongs to no transaction"));
}

TEST_F(TopicAuditTest, KnowsRecordsOfLaterAndOfRemovedTransactions) {
  stray(2, "0/500");  // committed here before its transaction is
  topics.partition("p.transaction").remove_before(6);
  const AuditReport report = audit();
  EXPECT_EQ(report.transactions, 2u);
  EXPECT_EQ(report.first, Lsn(0x200));
}

TEST_F(TopicAuditTest, FindsWhatAnyReaderWouldFind) {
  partition(1).records.erase(partition(1).records.begin());
  EXPECT_THAT(violation(), HasSubstr("records up to offset"));
}

TEST_F(TopicAuditTest, FindsATopicThatIsGone) {
  for (int32_t number = 0; number < 3; ++number) topics.partitions.erase({publisher.topic(1), number});
  EXPECT_THAT(violation(LogError::Kind::gap), HasSubstr("p.public.t1"));
}

}  // namespace
}  // namespace anabranch
