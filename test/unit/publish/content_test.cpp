// Rows that exist, in topics: a table that writers change and that the publisher reads in chunks, both modelled.
// Commits stand in the log before snapshots show them; whatever fails and wherever, who applies the topic's records in
// order ends with the table.
#include "sidecar/publish/content.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "decoder/record.pb.h"
#include "sidecar/publish/content_window.hpp"
#include "test/unit/publish/publisher_world.hpp"
#include "test/unit/publish/random_failures.hpp"

namespace anabranch {
namespace {

using test::for_each_seed;
using test::Killed;
using test::ModelRecord;
using test::RandomFailures;
using test::RowBuilder;
using test::SourceUnit;
using test::StreamBuilder;
using test::World;
using Random = std::mt19937_64;

// `large` is kept out of line: an update that leaves it alone does not send it.
struct TableRow {
  int value = 0, large = 0;
  bool operator==(const TableRow&) const = default;
};
using Rows = std::map<int, TableRow>;

std::string key_bytes(int key) {
  return RowBuilder().integer(1, key);
}
std::string row_bytes(int key, const TableRow& row) {
  return RowBuilder().integer(1, key).integer(2, row.value).integer(3, row.large);
}

// The table and its transactions: what has committed, and what of it a snapshot shows.
class ModelTable {
 public:
  ModelTable(World& world, Random& random) : world_(world), random_(random) { tell_visible(); }

  uint32_t columns = 3;

  uint64_t below(uint64_t bound) { return random_() % bound; }
  const Rows& rows() const { return latest_; }
  bool all_visible() const { return hidden_.empty(); }
  Lsn end() const { return Lsn(lsn_); }
  std::string snapshot() const { return world_.source.visible; }

  // As of the snapshot: rows of transactions that are not visible yet are as they were before.
  Rows visible_rows() const {
    Rows rows = latest_;
    for (auto hidden = hidden_.rbegin(); hidden != hidden_.rend(); ++hidden)
      for (const auto& [key, before] : hidden->before) {
        if (before)
          rows[key] = *before;
        else
          rows.erase(key);
      }
    return rows;
  }
  bool truncating() const {
    return std::any_of(hidden_.begin(), hidden_.end(), [](const Hidden& hidden) { return hidden.truncates; });
  }

  void fill(int count) {
    for (int key = 0; key < count; ++key) latest_[key * 2] = {key, 1000 + key};
  }

  // A transaction that commits, and is visible at once or later.
  void write() {
    const uint64_t xid = ++xid_;
    lsn_ += 10;
    StreamBuilder stream;
    stream.begin(xid, lsn_ - 5, 1, lsn_);
    stream.relation(1, columns);
    Hidden hidden{xid, {}, false};
    size_t changes = 0;
    if (below(60) == 0 && hidden_.empty()) {
      stream.truncate({{1, 0}});
      for (const auto& [key, row] : latest_) hidden.before[key] = row;
      latest_.clear();
      hidden.truncates = true;
      ++changes;
    } else if (!truncating()) {
      for (uint64_t i = 0; i < 1 + below(3); ++i) changes += change(stream, hidden);
    }
    stream.commit(lsn_);
    if (changes == 0) {
      --xid_;
      return;
    }
    SourceUnit unit;
    unit.xid = xid;
    unit.end = Lsn(lsn_);
    unit.frames = stream.frames(1 + below(4));
    world_.log.units.push_back(std::move(unit));
    if (below(2) == 0) hidden_.push_back(std::move(hidden));
    tell_visible();
  }
  void show_one() {
    if (hidden_.empty()) return;
    hidden_.erase(hidden_.begin() + static_cast<long>(below(hidden_.size())));
    tell_visible();
  }

 private:
  struct Hidden {
    uint64_t xid = 0;
    std::map<int, std::optional<TableRow>> before;
    bool truncates = false;
  };

  // Who changes a row holds it until the transaction is visible.
  bool locked(int key) const {
    return std::any_of(hidden_.begin(), hidden_.end(), [&](const Hidden& other) { return other.before.contains(key); });
  }
  void note(Hidden& hidden, int key) {
    const auto found = latest_.find(key);
    hidden.before.try_emplace(key, found == latest_.end() ? std::nullopt : std::optional(found->second));
  }
  size_t change(StreamBuilder& stream, Hidden& hidden) {
    const int key = static_cast<int>(below(40));
    if (locked(key)) return 0;
    const auto found = latest_.find(key);
    note(hidden, key);
    const int value = static_cast<int>(below(1'000'000));
    if (found == latest_.end()) {
      latest_[key] = {value, value};
      stream.insert(1, row_bytes(key, latest_[key]));
      return 1;
    }
    switch (below(5)) {
      case 0:
        latest_.erase(key);
        stream.remove(1, v1::BEFORE_KEY, key_bytes(key));
        return 1;
      case 1: {
        const int other = static_cast<int>(below(40));
        if (locked(other) || latest_.contains(other)) return 0;
        note(hidden, other);
        latest_.erase(key);
        latest_[other] = {value, value};
        stream.update(1, v1::BEFORE_KEY, key_bytes(key), row_bytes(other, latest_[other]));
        return 1;
      }
      case 2:
        latest_[key] = {value, value};
        stream.update(1, v1::BEFORE_NONE, "", row_bytes(key, latest_[key]));
        return 1;
      default:
        latest_[key].value = value;
        stream.update(1, v1::BEFORE_NONE, "", RowBuilder().integer(1, key).integer(2, value), {3});
        return 1;
    }
  }
  void tell_visible() {
    std::vector<uint64_t> under_way;
    for (const Hidden& hidden : hidden_) under_way.push_back(hidden.xid);
    std::sort(under_way.begin(), under_way.end());
    std::string list;
    for (const uint64_t xid : under_way) list += (list.empty() ? "" : ",") + std::to_string(xid);
    world_.source.visible =
        std::to_string(under_way.empty() ? xid_ + 1 : under_way.front()) + ":" + std::to_string(xid_ + 1) + ":" + list;
  }

  World& world_;
  Random& random_;
  Rows latest_;
  std::vector<Hidden> hidden_;  // committed, in order, and not visible yet
  uint64_t xid_ = 10, lsn_ = 100;
};

class ModelContent final : public ContentSource {
 public:
  std::set<int> unreadable, too_large;  // keys
  explicit ModelContent(ModelTable& table) : table_(table) {}
  std::vector<ContentTable> tables{{1, "public.t1", 20, 0, std::nullopt, false}};
  std::vector<ContentReport> reports;
  std::vector<ChunkOrder> orders;
  std::string failure;
  int columns_read = 3;

  std::vector<ContentTable> work() override { return tables; }
  void note(const ContentReport& report) override {
    reports.push_back(report);
    if (report.request == 0 || report.state == "running") return;
    std::erase_if(tables, [&](const ContentTable& table) { return table.request == report.request; });
  }
  void order(const ChunkOrder& order) override {
    orders.push_back(order);
    order_ = order;
    result_.reset();
  }
  // Read and handed over at moments of their own.
  std::optional<ContentChunk> take() override {
    if (!order_) return std::nullopt;
    if (!result_) {
      if (table_.below(3) == 0 && !table_.truncating()) result_ = read(*order_);
      return std::nullopt;
    }
    if (table_.below(3) != 0) return std::nullopt;
    order_.reset();
    return std::exchange(result_, std::nullopt);
  }
  void drop() noexcept override {
    order_.reset();
    result_.reset();
  }
  std::string state(uint64_t request = 0) const {
    for (auto report = reports.rbegin(); report != reports.rend(); ++report)
      if (report->request == request) return report->state;
    return "";
  }

 private:
  ContentChunk read(const ChunkOrder& order) {
    ContentChunk chunk;
    chunk.failure = failure;
    if (order.only_waits || !failure.empty()) return chunk;
    const Rows rows = table_.visible_rows();
    auto at = order.after ? rows.upper_bound(std::stoi(*order.after)) : rows.begin();
    StreamBuilder stream;
    stream.begin(1, table_.end().value(), 1, table_.end().value() + 1);
    stream.relation(1, table_.columns);
    for (int count = 0; at != rows.end() && count < order.rows_max; ++at, ++count) {
      if (unreadable.contains(at->first)) {
        stream.add(nothing_of_a_row());
      } else if (too_large.contains(at->first)) {
        v1::Record record;
        record.mutable_insert()->set_relation(1);
        record.mutable_insert()->set_after(
            std::string(RowBuilder().integer(1, at->first).integer(2, at->second.value)));
        v1::Omitted& omitted = *record.mutable_insert()->mutable_after_gaps()->add_omitted();
        omitted.set_number(3);
        omitted.set_sqlstate("54000");
        omitted.set_reason("a value of 2000000 bytes");
        stream.add(record);
      } else {
        stream.insert(1, row_bytes(at->first, at->second));
      }
      chunk.upper = std::to_string(at->first);
      ++chunk.scanned;
    }
    if (chunk.scanned < static_cast<uint64_t>(order.rows_max)) chunk.upper.reset();
    stream.commit(table_.end().value() + 1);
    TransactionReader reader(Lsn(), 1 << 20);
    for (const std::string& frame : stream.frames(3)) {
      const auto storage = std::make_shared<std::string>(frame);
      reader.read(*storage, storage, WantedColumns{{0, {}}}, chunk.pieces);
    }
    chunk.snapshot = Snapshot::parse(table_.snapshot());
    chunk.lsn = table_.end();
    chunk.system_identifier = "700";
    chunk.timeline = 1;
    return chunk;
  }

  // As where a row filter raises.
  v1::Record nothing_of_a_row() const {
    v1::Record record;
    record.mutable_insert()->set_relation(1);
    for (uint32_t number = 1; number <= table_.columns; ++number) {
      v1::Omitted& omitted = *record.mutable_insert()->mutable_after_gaps()->add_omitted();
      omitted.set_number(number);
      omitted.set_sqlstate("22012");
      omitted.set_reason("division by zero");
    }
    return record;
  }

  ModelTable& table_;
  std::optional<ChunkOrder> order_;
  std::optional<ContentChunk> result_;
};

int64_t integer_of(std::string_view row, uint32_t number, int64_t missing) {
  wire::Reader reader(row);
  wire::Field field;
  while (reader.next(field))
    if (field.number == number) return wire::unzigzag(field.value);
  return missing;
}

struct ContentTest : ::testing::Test {
  Random random{1};
  World world;
  ModelTable table{world, random};
  ModelContent content{table};

  ContentTest() {
    world.content = &content;
    world.settings.content = ContentMode::initial;
    world.start();
  }

  // The topic, applied from its beginning.
  Rows replay() const {
    Rows rows;
    for (size_t partition = 0; partition < 3; ++partition) {
      Rows here;
      for (const ModelRecord& record : world.kafka.read("shop.public.t1", partition)) {
        topic::v1::Row row;
        EXPECT_TRUE(row.ParseFromString(record.value));
        if (row.operation() == topic::v1::Row::TRUNCATE) {
          here.clear();
          continue;
        }
        const int key = static_cast<int>(integer_of(record.key, 1, -1));
        if (row.operation() == topic::v1::Row::DELETE) {
          here.erase(key);
          continue;
        }
        const bool unchanged = row.unchanged_size() > 0;
        const auto known = here.find(key);
        const int before = known == here.end() ? -1 : known->second.large;
        here[key] = {static_cast<int>(integer_of(row.after(), 2, -1)),
                     unchanged ? before : static_cast<int>(integer_of(row.after(), 3, -1))};
      }
      rows.insert(here.begin(), here.end());
    }
    return rows;
  }
  uint64_t count(const std::string& operation) const {
    uint64_t found = 0;
    for (size_t partition = 0; partition < 3; ++partition)
      for (const ModelRecord& record : world.kafka.read("shop.public.t1", partition))
        found += record.headers.at("op") == operation;
    return found;
  }
  void settle(const std::function<bool()>& done, int steps_max = 20'000) {
    for (int i = 0; i < steps_max; ++i) {
      if (i % 7 == 0) table.show_one();
      world.log.wal_end = table.end();
      world.publisher->step();
      if (done() && table.all_visible() && world.publisher->streaming() && world.log.drained() &&
          world.publisher->position() >= table.end())
        return;
    }
    FAIL() << "not through";
  }
};

TEST_F(ContentTest, BeginsATopicWithTheRowsThatExist) {
  table.fill(10);
  settle([&] { return content.state() == "done"; });
  EXPECT_EQ(replay(), table.rows());
  EXPECT_EQ(count("r"), 10u);
  EXPECT_TRUE(content.orders.front().only_waits);
  world.start();
  settle([&] { return content.reports.size() > 2; });
  EXPECT_EQ(count("r"), 10u) << "once";
}

TEST_F(ContentTest, LeavesOutRowsOfWhichNothingCanBeSent) {
  table.fill(10);
  content.unreadable = {4, 6};
  settle([&] { return content.state() == "done"; });
  EXPECT_EQ(count("r"), 8U);
  ASSERT_FALSE(world.source.parked.empty());
  EXPECT_EQ(world.source.parked[0].column, "key");
  EXPECT_THAT(world.source.parked[0].reason, ::testing::HasSubstr("rows that exist: division by zero (22012)"));
}

TEST_F(ContentTest, TellsOfValuesThatWereTooLargeToBeRead) {
  table.fill(10);
  content.too_large = {4};
  settle([&] { return content.state() == "done"; });
  EXPECT_EQ(count("r"), 10U);
  ASSERT_EQ(world.source.parked.size(), 1U);
  EXPECT_EQ(world.source.parked[0].column, "c3");
  EXPECT_EQ(world.source.parked[0].reason, "a value of 2000000 bytes");
  EXPECT_EQ(world.source.parked[0].key, key_bytes(4));
}

TEST_F(ContentTest, LeavesATableAloneWhoseSettingSaysSo) {
  table.fill(10);
  world.settings.content_of["public.t1"] = ContentMode::never;
  world.start();
  for (int i = 0; i < 2000; ++i) world.publisher->step();
  EXPECT_TRUE(content.orders.empty());
}

TEST_F(ContentTest, ServesRequestsInTheirOrder) {
  table.fill(10);
  world.settings.content = ContentMode::never;
  world.start();
  content.tables.push_back({1, "public.t1", 10, 5, "c1 > 3", false});
  content.tables.push_back({1, "public.t1", 10, 6, std::nullopt, false});
  settle([&] { return content.state(6) == "done"; });
  EXPECT_EQ(content.state(5), "done");
  EXPECT_EQ(count("r"), 20u);
  EXPECT_EQ(content.orders[1].condition, "c1 > 3");
}

TEST_F(ContentTest, EndsARequestThatIsCancelled) {
  table.fill(1000);
  world.settings.content = ContentMode::never;
  world.settings.content_chunk_rows_max = 1;
  world.start();
  content.tables.push_back({1, "public.t1", 10, 5, std::nullopt, false});
  for (int i = 0; i < 50 && content.state(5).empty(); ++i) world.publisher->step();
  content.tables.back().cancelled = true;
  settle([&] { return content.state(5) == "cancelled"; });
  world.start();
  settle([&] { return true; });
  EXPECT_EQ(content.tables.size(), 1u);
}

TEST_F(ContentTest, SaysWhatCannotBeReadAndGoesOn) {
  content.failure = "permission denied";
  settle([&] { return content.state() == "failed"; });
  EXPECT_EQ(content.reports.back().reason, "permission denied");
  table.write();
  settle([&] { return true; });
  // Another start tries again.
  content.failure.clear();
  table.fill(10);
  world.start();
  settle([&] { return content.state() == "done"; });
  EXPECT_EQ(replay(), table.rows());
}

TEST_F(ContentTest, BeginsAnewWhenThePublicationHadLostTheTable) {
  table.fill(10);
  settle([&] { return content.state() == "done"; });
  const auto tables = std::exchange(content.tables, {});
  for (int i = 0; i < 3000; ++i) world.publisher->step();
  content.tables = tables;
  settle([&] { return count("r") == 20; });
}

// Everything random: writers, when commits become visible, when chunks are read and handed over, failures of every call
// of Kafka before and after it has had its effect, kills, another column in the middle.
TEST(Content, IsExactUnderRandomWritesAndFailures) {
  for_each_seed([](uint64_t seed) {
    struct Case : ContentTest {
      void TestBody() override {}
    } test;
    test.random.seed(seed);
    const auto below = [&](uint64_t bound) { return test.table.below(bound); };
    World& world = test.world;
    world.settings.batch.records_max = 1 + below(20);
    world.settings.part_records_max = 1 + below(20);
    world.settings.content_chunk_rows_max = 1 + static_cast<int>(below(6));
    if (below(4) == 0) world.settings.content_window_bytes_max = 500;
    world.start();
    test.table.fill(20);
    const RandomFailures failures{world, below, 20 + below(200), below(12)};
    int writes = 10 + static_cast<int>(below(80));
    const bool alters = below(5) == 0;
    bool requested = false;
    world.clock.asleep = [&] { test.table.show_one(); };
    for (int step = 0; step < 30'000; ++step) {
      if (writes > 0 && below(4) == 0) {
        test.table.write();
        --writes;
        if (alters && writes == 5 && test.table.all_visible()) test.table.columns = 4;
      }
      if (below(3) == 0) test.table.show_one();
      if (!requested && below(200) == 0) {
        requested = true;
        test.content.tables.push_back({1, "public.t1", 20, 9, std::nullopt, false});
      }
      world.log.wal_end = test.table.end();
      try {
        world.publisher->step();
      } catch (const Killed&) {
        world.start();
      }
      if (writes == 0 && test.content.state() == "done" && (!requested || test.content.state(9) == "done") &&
          test.table.all_visible() && world.publisher->streaming() && world.log.drained() &&
          world.publisher->position() >= test.table.end())
        break;
    }
    EXPECT_EQ(test.content.state(), "done");
    EXPECT_EQ(test.replay(), test.table.rows());
    world.read();
  });
}

// --- The window -----------------------------------------------------------------------------------------------------

struct WindowTest : ::testing::Test {
  ContentWindow window{1, 10'000};
  const Snapshot snapshot = Snapshot::parse("5:8:5,7");
  std::string row = row_bytes(1, {2, 3});
  std::vector<Gap> gaps;
  const std::vector<uint32_t> large{3};

  void update(uint64_t xid, const std::string& after, bool partial) {
    PublishedChange change;
    change.operation = RowOperation::update;
    change.after = after;
    if (partial) change.unchanged = &large;
    window.touch(xid, change, "k", 1);
  }
};

TEST_F(WindowTest, LetsARowStandThatNobodyChanged) {
  update(6, row_bytes(1, {9, 9}), false);
  EXPECT_EQ(window.judge(snapshot, "k", row, gaps), ContentWindow::Verdict::stands) << "the snapshot shows it";
  EXPECT_EQ(window.judge(snapshot, "other", row, gaps), ContentWindow::Verdict::stands);
}

TEST_F(WindowTest, DropsARowThatTheTopicHasNewerAndWhole) {
  update(7, row_bytes(1, {9, 9}), false);
  EXPECT_EQ(window.judge(snapshot, "k", row, gaps), ContentWindow::Verdict::dropped);
  update(8, RowBuilder().integer(1, 1).integer(2, 10), true);
  EXPECT_EQ(window.judge(snapshot, "k", row, gaps), ContentWindow::Verdict::dropped) << "then without a large value";
}

TEST_F(WindowTest, PutsARowTogetherOfWhichTheTopicLacksValues) {
  update(6, RowBuilder().integer(1, 1).integer(2, 2), true);
  update(7, RowBuilder().integer(1, 1).integer(2, 10), true);
  update(8, RowBuilder().integer(1, 1).integer(2, 11), true);
  EXPECT_EQ(window.judge(snapshot, "k", row, gaps), ContentWindow::Verdict::merged);
  EXPECT_EQ(row, row_bytes(1, {11, 3}));
}

TEST_F(WindowTest, KeepsAGapOnlyWhereNothingHasFilledIt) {
  row = RowBuilder().integer(1, 1);
  gaps = {{2, "", "?"}, {3, "", "?"}};
  update(7, RowBuilder().integer(1, 1).integer(2, 10), true);
  EXPECT_EQ(window.judge(snapshot, "k", row, gaps), ContentWindow::Verdict::merged);
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].number, 3u);
}

TEST_F(WindowTest, JudgesNothingAfterATruncationOrUnderOtherKeys) {
  EXPECT_TRUE(window.can_judge(snapshot, 1));
  window.touch_all(6);
  EXPECT_TRUE(window.can_judge(snapshot, 1)) << "the snapshot shows it";
  update(8, row, false);
  EXPECT_TRUE(window.can_judge(snapshot, 1));
  EXPECT_FALSE(window.can_judge(snapshot, 2));
  window.touch_all(7);
  EXPECT_FALSE(window.can_judge(snapshot, 1));
}

TEST_F(WindowTest, SaysWhenItRemembersTooMuch) {
  for (int i = 0; i < 100; ++i) {
    PublishedChange change;
    window.touch(8, change, "key " + std::to_string(i), 1);
  }
  EXPECT_TRUE(window.overflown());
  EXPECT_FALSE(window.can_judge(snapshot, 1));
}

TEST(ContentProgressTest, ComesBackAsItWasWritten) {
  ContentProgress progress;
  progress.relation = 7;
  progress.request = 3;
  progress.state = ContentProgress::State::stale;
  progress.table = "public.t";
  progress.next_key = std::string("\0k", 2);
  progress.rows = 1;
  progress.rows_read = 2;
  progress.shape = ~uint64_t{0};
  progress.restarts = 4;
  const ContentProgress read = read_content_progress(write_content_progress(progress));
  EXPECT_EQ(read.relation, 7u);
  EXPECT_EQ(read.request, 3u);
  EXPECT_EQ(read.state, progress.state);
  EXPECT_EQ(read.table, progress.table);
  EXPECT_EQ(read.next_key, progress.next_key);
  EXPECT_EQ(read.rows, 1u);
  EXPECT_EQ(read.rows_read, 2u);
  EXPECT_EQ(read.shape, progress.shape);
  EXPECT_EQ(read.restarts, 4u);
  progress.next_key.reset();
  EXPECT_EQ(read_content_progress(write_content_progress(progress)).next_key, std::nullopt);
  EXPECT_THROW(read_content_progress(""), std::invalid_argument);
  EXPECT_THROW(read_content_progress("\x08\x01\x18\x2a"), std::invalid_argument) << "a state of a later version";
  EXPECT_EQ(content_key("home", progress), "home//7/request");
  EXPECT_TRUE(is_content_key("home", "home//7/initial"));
  EXPECT_FALSE(is_content_key("home", "home/shop.public.t"));
}

}  // namespace
}  // namespace anabranch
