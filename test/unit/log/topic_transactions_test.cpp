// What a publisher wrote comes out as it went in, wherever the reader starts; what retention removed and what nobody
// can have written never comes out as if nothing were amiss.
#include "sidecar/log/topic_transactions.hpp"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/log/topic_model.hpp"

namespace anabranch {
namespace {

using test::insert;
using test::ModelChange;
using test::ModelPublisher;
using test::ModelTopics;
using test::StoredPartition;
using test::StoredRecord;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Row = topic::v1::Row;
using namespace std::chrono_literals;

ModelChange update(uint32_t relation, int32_t partition, const std::string& before, const std::string& after) {
  ModelChange change = insert(relation, partition, after);
  change.row.set_operation(Row::UPDATE);
  change.row.set_before_kind(topic::v1::Row::FULL);
  change.row.set_before(before);
  return change;
}

ModelChange remove(uint32_t relation, int32_t partition, const std::string& before) {
  ModelChange change = update(relation, partition, before, "");
  change.row.set_operation(Row::DELETE);
  return change;
}

ModelChange truncate(std::vector<std::pair<uint32_t, uint32_t>> truncated) {
  ModelChange change;
  change.row.set_operation(Row::TRUNCATE);
  change.truncated = std::move(truncated);
  return change;
}

TopicTransactionsOptions options(bool everything = false) {
  TopicTransactionsOptions options;
  options.transaction_topic = "p.transaction";
  options.relation_topic = "p.relation";
  options.message_prefix = "p.message.";
  options.always_wanted = {{"anabranch", "ddl"}};
  options.everything = everything;
  return options;
}

WantedColumns all_wanted() {
  WantedColumns wanted;
  for (uint32_t oid = 1; oid < 10; ++oid) wanted[oid] = {1, 2};
  return wanted;
}

std::string describe(const Change& change) {
  if (change.kind == Change::Kind::truncate) {
    std::set<std::string> parts;
    for (const Truncated& truncated : change.details->truncated)
      parts.insert(truncated.relation->name + "/" + std::to_string(truncated.leaf));
    std::string line = "truncate";
    for (const std::string& part : parts) line += " " + part;
    return line;
  }
  static constexpr const char* names[] = {"insert", "update", "remove", "truncate", "message", "unselected"};
  std::string line = names[static_cast<int>(change.kind)];
  if (change.relation != nullptr) line += " " + change.relation->name;
  line += " [" + std::string(change.before) + "] [" + std::string(change.after) + "]";
  if (change.details)
    for (const Gap& gap : change.details->after_gaps) line += " gap " + std::to_string(gap.number);
  return line;
}

// Every piece as lines; a transaction's pieces must join without a seam.
std::vector<std::string> read_all(ModelTopics& topics, uint64_t from, std::optional<int64_t> offset = std::nullopt,
                                  const WantedColumns& wanted = all_wanted(), bool everything = false) {
  TopicTransactions transactions(topics, options(everything), Lsn(from), offset);
  std::vector<std::string> lines;
  bool within = false;
  // A read of the model may bring nothing though there is more.
  for (int idle = 0; idle < 100;) {
    const auto piece = transactions.next(0ms, wanted);
    if (!piece) {
      ++idle;
      continue;
    }
    idle = 0;
    EXPECT_EQ(piece->first, !within);
    if (piece->first) lines.push_back(fmt::format("begin {} {}", piece->xid, piece->commit_lsn.to_string()));
    for (const Change& change : piece->changes) lines.push_back(describe(change));
    within = !piece->last();
    if (piece->last()) lines.push_back("end " + piece->end_lsn->to_string());
    EXPECT_GE(piece->log_offset, 0);
  }
  EXPECT_FALSE(within);
  return lines;
}

std::string error_of(const std::function<void()>& what, LogError::Kind kind) {
  try {
    what();
  } catch (const LogError& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no LogError";
  return "";
}

// Two tables, a position, three transactions, the second one in parts.
struct TopicTransactionsTest : ::testing::Test {
  ModelTopics topics{7};
  ModelPublisher publisher{topics};

  TopicTransactionsTest() {
    publisher.relation(1);
    publisher.relation(2);
    publisher.position(0x100);
    publisher.transaction(11, 0x200, {insert(1, 0, "a"), insert(1, 2, "b"), insert(2, 1, "c")});
    publisher.abort_something();
    publisher.transaction(
        12, 0x300, {insert(1, 1, "d"), update(1, 0, "a", "A"), remove(1, 2, "b"), insert(2, 1, "e"), insert(1, 0, "f")},
        2);
    publisher.position(0x380);
    publisher.transaction(13, 0x400, {truncate({{1, 0}, {2, 0}}), insert(1, 0, "g")});
  }

  StoredPartition& partition(uint32_t oid, int32_t number) { return topics.partition(publisher.topic(oid), number); }
  std::string damage(LogError::Kind kind = LogError::Kind::damaged, uint64_t from = 0x100) {
    return error_of([&] { read_all(topics, from); }, kind);
  }
};

TEST_F(TopicTransactionsTest, HandsOutWhatWasPublished) {
  EXPECT_THAT(read_all(topics, 0x100),
              ElementsAre("begin 11 0/1F8", "insert t1 [] [a]", "insert t1 [] [b]", "insert t2 [] [c]", "end 0/200",
                          "begin 12 0/2F8", "insert t1 [] [d]", "update t1 [a] [A]", "remove t1 [b] []",
                          "insert t2 [] [e]", "insert t1 [] [f]", "end 0/300", "begin 0 0/380", "end 0/380",
                          "begin 13 0/3F8", "truncate t1/0 t2/0", "insert t1 [] [g]", "end 0/400"));
}

TEST_F(TopicTransactionsTest, BeginsAfterThePositionWhateverTheOffsetSays) {
  const auto rest = read_all(topics, 0x300);
  EXPECT_EQ(rest.front(), "begin 0 0/380");
  // The record of 0x300, one before it, one after it, none, one beyond the end.
  for (const int64_t offset : {10, 8, 12, 3, 11, 1'000}) EXPECT_EQ(read_all(topics, 0x300, offset), rest) << offset;
  EXPECT_EQ(read_all(topics, 0x2FF).front(), "begin 12 0/2F8");
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre());
}

TEST_F(TopicTransactionsTest, ReadsOnlyWhatIsWanted) {
  const auto lines = read_all(topics, 0x100, std::nullopt, {{2, {1}}});
  EXPECT_THAT(lines,
              ElementsAre("begin 11 0/1F8", "insert t2 [] [c]", "end 0/200", "begin 12 0/2F8", "insert t2 [] [e]",
                          "end 0/300", "begin 0 0/380", "end 0/380", "begin 13 0/3F8", "truncate t2/0", "end 0/400"));
  for (int32_t number = 0; number < 3; ++number) {
    EXPECT_EQ((topics.reads[{publisher.topic(1), number}]), 0);
    EXPECT_GT((topics.released[{publisher.topic(1), number}]), 0);
  }
}

TEST_F(TopicTransactionsTest, AlwaysReadsWhatTellsOfDdl) {
  publisher.relation(99, 2, "anabranch", "ddl");
  publisher.transaction(14, 0x500, {insert(99, 0, "dropped"), insert(1, 0, "h")});
  const auto lines = read_all(topics, 0x400, std::nullopt, {});
  EXPECT_THAT(lines, ElementsAre("begin 14 0/4F8", "insert ddl [] [dropped]", "end 0/500"));
}

TEST_F(TopicTransactionsTest, TellsATableFromItsPredecessorOfTheSameName) {
  publisher.relation(3, 2, "public", "t1");
  publisher.transaction(14, 0x500, {insert(3, 0, "new")});
  EXPECT_THAT(read_all(topics, 0x400, std::nullopt, {{1, {1}}}), ElementsAre("begin 14 0/4F8", "end 0/500"));
  EXPECT_THAT(read_all(topics, 0x400, std::nullopt, {{3, {1}}}),
              ElementsAre("begin 14 0/4F8", "insert t1 [] [new]", "end 0/500"));
}

TEST_F(TopicTransactionsTest, TellsWhatLeftThePublication) {
  publisher.transaction(14, 0x500, {insert(1, 0, "h")}, 10, {1, 2});
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre("begin 14 0/4F8", "insert t1 [] [h]", "unselected t1 [] []",
                                                   "unselected t2 [] []", "end 0/500"));
}

TEST_F(TopicTransactionsTest, HoldsBackATransactionWhoseEndIsMissing) {
  publisher.transaction(14, 0x500, {insert(1, 0, "h"), insert(1, 1, "i"), insert(1, 2, "j")}, 1);
  StoredPartition& parts = topics.partition("p.transaction");
  const StoredRecord end = parts.records.back();
  parts.records.pop_back();
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre());
  parts.records.push_back(end);
  EXPECT_EQ(read_all(topics, 0x400).size(), 5u);
}

TEST_F(TopicTransactionsTest, TakesPartsWithoutRecords) {
  publisher.transaction(14, 0x500, {insert(1, 0, "h"), insert(1, 1, "i")}, 1, {}, true);
  EXPECT_THAT(read_all(topics, 0x400),
              ElementsAre("begin 14 0/4F8", "insert t1 [] [h]", "insert t1 [] [i]", "end 0/500"));
}

TEST_F(TopicTransactionsTest, MakesAnUpdateOfAChangedKeyWithUnchangedColumns) {
  ModelChange moved = insert(1, 2, "new");
  moved.row.add_unchanged(2);
  publisher.transaction(14, 0x500, {remove(1, 0, "old"), moved});
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre("begin 14 0/4F8", "update t1 [old] [new]", "end 0/500"));
}

TEST_F(TopicTransactionsTest, MakesAGapOfAnUnchangedColumnThatNobodyHas) {
  ModelChange moved = insert(1, 2, "new");
  moved.row.add_unchanged(2);
  ModelChange old = remove(1, 0, "old");
  old.row.set_before_kind(topic::v1::Row::KEY);
  publisher.transaction(14, 0x500, {old, moved});
  EXPECT_THAT(read_all(topics, 0x400),
              ElementsAre("begin 14 0/4F8", "remove t1 [old] []", "insert t1 [] [new] gap 2", "end 0/500"));
}

TEST_F(TopicTransactionsTest, TruncatesLeavesOfOneTable) {
  publisher.transaction(14, 0x500, {truncate({{1, 71}, {1, 72}})});
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre("begin 14 0/4F8", "truncate t1/71 t1/72", "end 0/500"));
}

TEST_F(TopicTransactionsTest, PutsSlicesTogether) {
  publisher.slice_bytes = 7;
  publisher.transaction(
      14, 0x500, {insert(1, 0, "a value of several slices"), insert(1, 0, "x"), insert(1, 1, "another one of them")});
  EXPECT_THAT(read_all(topics, 0x400),
              ElementsAre("begin 14 0/4F8", "insert t1 [] [a value of several slices]", "insert t1 [] [x]",
                          "insert t1 [] [another one of them]", "end 0/500"));
}

// --- What is gone ---------------------------------------------------------------------------------------------------

TEST_F(TopicTransactionsTest, WaitsForTopicsThatAreNotThereYet) {
  ModelTopics none;
  TopicTransactions transactions(none, options(), Lsn(0x100), std::nullopt);
  EXPECT_FALSE(transactions.next(0ms, all_wanted()));
  EXPECT_FALSE(transactions.placed());
}

TEST_F(TopicTransactionsTest, NamesTopicsThatAreGone) {
  topics.partitions.erase({"p.transaction", 0});
  EXPECT_THAT(error_of([&] { read_all(topics, 0x300, 8); }, LogError::Kind::gap), HasSubstr("does not exist any more"));
}

TEST_F(TopicTransactionsTest, NamesTheRangeThatRetentionRemoved) {
  topics.partition("p.transaction").remove_before(12);  // the first left is the position 0x380
  const std::string message = damage(LogError::Kind::gap, 0x200);
  EXPECT_THAT(message, HasSubstr("0/200"));
  EXPECT_THAT(message, HasSubstr("0/300"));
  EXPECT_EQ(read_all(topics, 0x300).size(), 6u);  // nothing of it is missing for this one
}

TEST_F(TopicTransactionsTest, NamesATransactionThatRetentionCutInTwo) {
  topics.partition("p.transaction").remove_before(8);
  EXPECT_THAT(damage(LogError::Kind::gap, 0x200), HasSubstr("in the middle of transaction 12"));
}

TEST_F(TopicTransactionsTest, NamesWhatWasWrittenBeforePublishingBegan) {
  EXPECT_THAT(damage(LogError::Kind::gap, 0x80), HasSubstr("publishing began at 0/100"));
}

TEST_F(TopicTransactionsTest, NamesALossThatWasAccepted) {
  publisher.position(0x600, true);
  publisher.transaction(14, 0x700, {insert(1, 0, "h")});
  EXPECT_THAT(damage(LogError::Kind::gap, 0x400), HasSubstr("between 0/400 and 0/600"));
  EXPECT_EQ(read_all(topics, 0x600).size(), 3u);
}

TEST_F(TopicTransactionsTest, NamesRowsThatRetentionRemoved) {
  partition(2, 1).remove_before(1);
  EXPECT_THAT(damage(LogError::Kind::gap), HasSubstr("p.public.t2"));
}

// --- Adopted --------------------------------------------------------------------------------------------------------

TEST_F(TopicTransactionsTest, GoesOnBehindAnAdoptionThatLostNothingMore) {
  publisher.adopt(0x400);
  publisher.transaction(14, 0x500, {insert(1, 0, "h")});
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre("begin 14 0/4F8", "insert t1 [] [h]", "end 0/500"));
  EXPECT_THAT(read_all(topics, 0x400, 14).size(), 3U);
  EXPECT_EQ(read_all(topics, 0x300).size(), read_all(topics, 0x400).size() + 6);
  topics.partition("p.transaction").records.erase(topics.partition("p.transaction").records.begin() + 6);
  EXPECT_THAT(damage(LogError::Kind::gap), HasSubstr("its loss was accepted"));
}

TEST_F(TopicTransactionsTest, EndsWhereARestoredServerWasAdopted) {
  publisher.adopt(0x250);
  publisher.transaction(14, 0x280, {insert(1, 0, "h")});
  for (const uint64_t from : {0x100, 0x200})
    EXPECT_THAT(damage(LogError::Kind::gap, from), HasSubstr("adopted at 0/250")) << from;
  // Of the old history, which the offset tells.
  EXPECT_THAT(error_of([&] { read_all(topics, 0x400, 14); }, LogError::Kind::gap), HasSubstr("up to 0/400"));
  // Of the new one.
  EXPECT_THAT(read_all(topics, 0x250), ElementsAre("begin 14 0/278", "insert t1 [] [h]", "end 0/280"));
  EXPECT_THAT(read_all(topics, 0x280), ElementsAre());
  publisher.transaction(15, 0x500, {insert(1, 0, "i")});
  EXPECT_THAT(read_all(topics, 0x280), ElementsAre("begin 15 0/4F8", "insert t1 [] [i]", "end 0/500"));
}

TEST_F(TopicTransactionsTest, FindsThePlaceBehindAnAdoptionInALongTopic) {
  for (uint64_t n = 1; n <= 2'000; ++n) publisher.position(0x1000 + 0x10 * n);
  publisher.adopt(0x2000);
  for (uint64_t n = 1; n <= 3'000; ++n) publisher.position(0x2000 + 0x10 * n);
  for (const uint64_t from : {0x2000, 0x2010, 0x5000, 0x8F00, 0xA000, 0xDB70}) {
    const auto lines = read_all(topics, from);
    EXPECT_EQ(lines.size(), (0x2000 + 0x10 * 3'000 - from) / 8) << from;
    EXPECT_EQ(lines.front(), "begin 0 " + Lsn(from + 0x10).to_string());
  }
}

TEST_F(TopicTransactionsTest, GivesUpATransactionThatWasHalfPublishedWhenAdopted) {
  publisher.transaction(14, 0x500, {insert(1, 0, "h"), insert(1, 1, "i"), insert(1, 2, "j")}, 1);
  StoredPartition& parts = topics.partition("p.transaction");
  parts.records.pop_back();  // the part with the end
  publisher.edit_part(7, [](topic::v1::Part& part) { ASSERT_EQ(part.end_lsn(), 0x500U); });
  publisher.rewind(0x400);
  publisher.adopt(0x400);
  publisher.transaction(15, 0x600, {insert(1, 0, "k")});
  EXPECT_THAT(read_all(topics, 0x400), ElementsAre("begin 15 0/5F8", "insert t1 [] [k]", "end 0/600"));
  publisher.rewind(0x600);
  publisher.adopt(0x480);
  EXPECT_THAT(damage(LogError::Kind::gap, 0x400), HasSubstr("adopted at 0/480"));
}

TEST_F(TopicTransactionsTest, EndsWhereTheProgressWasLost) {
  publisher.adopt_without_progress(0x480);
  publisher.transaction(14, 0x500, {insert(1, 0, "h")});
  EXPECT_THAT(damage(LogError::Kind::gap, 0x300), HasSubstr("accepted"));
  EXPECT_THAT(damage(LogError::Kind::gap, 0x400), HasSubstr("accepted"));
  EXPECT_EQ(read_all(topics, 0x480).size(), 3U);
}

TEST_F(TopicTransactionsTest, RefusesAGapThatHoldsRecords) {
  publisher.edit_part(6, [](topic::v1::Part& part) { part.set_gap(true); });
  EXPECT_THAT(damage(), HasSubstr("a gap that holds records"));
}

// --- Damage ---------------------------------------------------------------------------------------------------------

TEST_F(TopicTransactionsTest, RefusesAMissingTransaction) {
  auto& parts = topics.partition("p.transaction").records;
  parts.erase(parts.begin() + 5);
  EXPECT_THAT(damage(), HasSubstr("names 0/380 as the end of the one before it, which ended at 0/300"));
}

TEST_F(TopicTransactionsTest, RefusesAMissingPart) {
  auto& parts = topics.partition("p.transaction").records;
  parts.erase(parts.begin() + 3);
  EXPECT_THAT(damage(), HasSubstr("part 3 of transaction 12"));
}

TEST_F(TopicTransactionsTest, RefusesATransactionThatNeverEnds) {
  auto& parts = topics.partition("p.transaction").records;
  parts.erase(parts.begin() + 4);
  EXPECT_THAT(damage(), HasSubstr("transaction 12 breaks off after part 2"));
}

TEST_F(TopicTransactionsTest, RefusesATransactionThatComesTwice) {
  StoredPartition& parts = topics.partition("p.transaction");
  parts.add(parts.records[1]);
  EXPECT_THAT(damage(), HasSubstr("ends at 0/200 comes after the one that ends at 0/400"));
}

TEST_F(TopicTransactionsTest, RefusesTransactionsInAnotherOrder) {
  auto& parts = topics.partition("p.transaction").records;
  std::swap(parts[5].value, parts[6].value);
  EXPECT_THAT(damage(), HasSubstr("0/380"));
}

TEST_F(TopicTransactionsTest, RefusesAMissingRecord) {
  auto& records = partition(1, 0).records;
  records.erase(records.begin() + 1);
  EXPECT_THAT(damage(), HasSubstr("records up to offset"));
}

TEST_F(TopicTransactionsTest, RefusesARecordThatWasTampered) {
  Row row;
  StoredRecord& record = partition(2, 1).records[0];
  row.ParseFromString(record.value);
  row.set_after("x");
  record.value = row.SerializeAsString();
  const std::string message = damage();
  EXPECT_THAT(message, HasSubstr("checksum"));
  EXPECT_THAT(message, HasSubstr("topic \"p.public.t2\", partition 1"));
}

TEST_F(TopicTransactionsTest, RefusesARecordOfAnotherTransaction) {
  partition(1, 2).records[0].lsn = "0/1FF";
  EXPECT_THAT(damage(), HasSubstr("a record of the transaction that ends at \"0/1FF\""));
}

TEST_F(TopicTransactionsTest, RefusesANumberThatComesTwice) {
  partition(2, 1).records[0].number = "1";
  EXPECT_THAT(damage(), HasSubstr("record 1 comes twice"));
}

TEST_F(TopicTransactionsTest, RefusesRecordsInAnotherOrder) {
  publisher.transaction(14, 0x500, {insert(1, 0, "h"), insert(1, 0, "i")});
  auto& records = partition(1, 0).records;
  std::swap(records[records.size() - 2].number, records[records.size() - 1].number);
  EXPECT_THAT(damage(), HasSubstr("record 1 comes after record 2"));
}

TEST_F(TopicTransactionsTest, RefusesANumberOfAnotherPart) {
  partition(2, 1).records[0].number = "9";
  EXPECT_THAT(damage(), HasSubstr("record 9 in a part of records 1 to 3"));
}

TEST_F(TopicTransactionsTest, RefusesSlicesThatDoNotFollowEachOther) {
  publisher.slice_bytes = 7;
  publisher.transaction(14, 0x500, {insert(1, 0, "a value of several slices"), insert(1, 0, "x")});
  partition(1, 0).records[partition(1, 0).records.size() - 2].fragment = "2/4";
  EXPECT_THAT(damage(), HasSubstr("slice"));
}

TEST_F(TopicTransactionsTest, RefusesANewerFormat) {
  publisher.edit_part(6, [](topic::v1::Part& part) { part.set_format(2); });
  EXPECT_THAT(damage(LogError::Kind::unsupported), HasSubstr("format 2"));
}

TEST_F(TopicTransactionsTest, RefusesAPartitionThatEndsTooEarly) {
  StoredPartition& last = partition(1, 0);
  last.end = last.records.back().offset;
  last.records.pop_back();
  EXPECT_THAT(damage(), HasSubstr("the partition ends at offset"));
}

TEST_F(TopicTransactionsTest, RefusesFewerRecordsThanTheTransactionHad) {
  publisher.edit_part(1, [](topic::v1::Part& part) { part.mutable_spans()->RemoveLast(); });
  EXPECT_THAT(damage(), HasSubstr("fewer records in its spans"));
}

TEST_F(TopicTransactionsTest, RefusesARelationThatNobodyDescribed) {
  topics.partition("p.relation").records.pop_back();
  EXPECT_THAT(damage(), HasSubstr("does not describe relation"));
}

TEST_F(TopicTransactionsTest, AnAuditFindsRecordsOfNoTransaction) {
  EXPECT_EQ(read_all(topics, 0x100, std::nullopt, {}, true).size(), read_all(topics, 0x100).size());
  StoredPartition& rows = partition(1, 1);
  rows.add(rows.records[0]);
  publisher.transaction(14, 0x500, {insert(1, 1, "h")});
  EXPECT_NO_THROW(read_all(topics, 0x100));
  EXPECT_THAT(error_of([&] { read_all(topics, 0x100, std::nullopt, {}, true); }, LogError::Kind::damaged),
              HasSubstr("belongs to no transaction"));
}

// --- A model --------------------------------------------------------------------------------------------------------

TEST(TopicTransactionsModel, RandomTransactionsComeBackFromEveryPosition) {
  for (uint32_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](uint64_t below) { return random() % below; };
    ModelTopics topics(seed);
    ModelPublisher publisher(topics);
    for (uint32_t oid = 1; oid <= 3; ++oid) publisher.relation(oid);
    publisher.position(0x100);
    const uint32_t wanted_one = 1 + static_cast<uint32_t>(pick(3));
    struct Unit {
      uint64_t end;
      std::vector<std::string> all, of_one;
    };
    std::vector<Unit> units;
    uint64_t lsn = 0x100;
    uint32_t serial = 0;
    for (uint64_t xid = 1; xid <= 30; ++xid) {
      lsn += 0x20 + pick(100);
      Unit unit{lsn, {}, {}};
      if (pick(6) == 0) {
        publisher.position(lsn);
        unit.all = unit.of_one = {"begin 0 " + Lsn(lsn).to_string()};
      } else {
        if (pick(5) == 0) publisher.relation(1 + static_cast<uint32_t>(pick(3)), 2 + serial % 5);
        std::vector<ModelChange> changes;
        unit.all = unit.of_one = {fmt::format("begin {} {}", xid, Lsn(lsn - 8).to_string())};
        for (uint64_t count = pick(12); count > 0; --count) {
          const auto oid = 1 + static_cast<uint32_t>(pick(3));
          const auto to = static_cast<int32_t>(pick(3));
          const std::string row = std::to_string(++serial);
          std::string line;
          switch (pick(7)) {
            case 0:
              changes.push_back(truncate({{oid, 0}}));
              line = fmt::format("truncate t{}/0", oid);
              break;
            case 1:
            case 2:
              changes.push_back(update(oid, to, "old", row));
              line = fmt::format("update t{} [old] [{}]", oid, row);
              break;
            case 3:
              changes.push_back(remove(oid, to, row));
              line = fmt::format("remove t{} [{}] []", oid, row);
              break;
            default:
              changes.push_back(insert(oid, to, row));
              line = fmt::format("insert t{} [] [{}]", oid, row);
          }
          unit.all.push_back(line);
          if (oid == wanted_one) unit.of_one.push_back(line);
        }
        publisher.transaction(xid, lsn, changes, 1 + pick(6));
      }
      for (auto* lines : {&unit.all, &unit.of_one}) lines->push_back("end " + Lsn(lsn).to_string());
      units.push_back(std::move(unit));
      if (pick(4) == 0) publisher.abort_something();
    }
    for (int start = 0; start < 6; ++start) {
      const size_t first = pick(units.size());
      const uint64_t from = (first == 0 ? 0x100 : units[first - 1].end) + pick(0x10);  // between two units
      std::vector<std::string> all, of_one;
      for (size_t i = first; i < units.size(); ++i) {
        all.insert(all.end(), units[i].all.begin(), units[i].all.end());
        of_one.insert(of_one.end(), units[i].of_one.begin(), units[i].of_one.end());
      }
      const std::optional<int64_t> hint = pick(2) == 0 ? std::nullopt : std::optional<int64_t>(pick(120));
      EXPECT_EQ(read_all(topics, from, hint), all);
      EXPECT_EQ(read_all(topics, from, hint, {{wanted_one, {1}}}), of_one);
      EXPECT_EQ(read_all(topics, from, hint, {}, true).size(), all.size());
    }
  }
}

// Whatever single byte of whatever record is other than it was, or whichever record is missing: a LogError, or the same
// transactions.
TEST(TopicTransactionsModel, NoDamageGoesUnnoticed) {
  ModelTopics topics;
  ModelPublisher publisher(topics);
  publisher.relation(1);
  publisher.position(0x100);
  publisher.transaction(11, 0x200, {insert(1, 0, "a"), update(1, 1, "b", "B"), insert(1, 0, "c")});
  publisher.transaction(12, 0x300, {remove(1, 0, "a"), truncate({{1, 0}}), insert(1, 2, "d")}, 2);
  publisher.position(0x400);
  const auto whole = read_all(topics, 0x100);
  const auto same_or_refused = [&](ModelTopics& damaged) {
    try {
      const auto lines = read_all(damaged, 0x100);
      // What is not there yet may come: a beginning of the whole is right, too.
      ASSERT_LE(lines.size(), whole.size());
      EXPECT_TRUE(std::equal(lines.begin(), lines.end(), whole.begin())) << ::testing::PrintToString(lines);
    } catch (const LogError&) {
    }
  };
  for (auto& [place, partition] : topics.partitions) {
    for (size_t i = 0; i < partition.records.size(); ++i) {
      SCOPED_TRACE(place.first + " " + std::to_string(place.second) + " " + std::to_string(i));
      const StoredRecord kept = partition.records[i];
      partition.records.erase(partition.records.begin() + static_cast<std::ptrdiff_t>(i));
      same_or_refused(topics);
      partition.records.insert(partition.records.begin() + static_cast<std::ptrdiff_t>(i), kept);
      // Part has no checksum of its own: Kafka's covers it. Here the rows.
      if (place.first != publisher.topic(1)) continue;
      for (size_t byte = 0; byte < kept.value.size(); ++byte)
        for (const int bit : {0, 3, 7}) {
          partition.records[i].value[byte] = static_cast<char>(kept.value[byte] ^ 1 << bit);
          same_or_refused(topics);
          partition.records[i].value = kept.value;
        }
    }
  }
}

}  // namespace
}  // namespace anabranch
