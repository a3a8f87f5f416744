// Everything a publisher needs, as models: the slot's log, the database, the clock, and Kafka (kafka_model.hpp).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/log/transaction.hpp"
#include "sidecar/publish/partitioner.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/topic/topic.pb.h"
#include "test/unit/log/stream_builder.hpp"
#include "test/unit/publish/kafka_model.hpp"

namespace anabranch::test {

using namespace std::chrono_literals;

// A unit of the source: its frames, and what of it has to stand in the topics.
struct SourceUnit {
  std::vector<std::string> frames;
  uint64_t xid = 0;
  Lsn end;
  std::vector<std::string> expected;  // "op key-partition-independent value" in the order of numbers
};

class ModelLog final : public ChangeLog {
 public:
  std::vector<SourceUnit> units;
  Lsn confirmed, wal_end;
  bool started = false;
  int64_t stops = 0;

  void start(Lsn from) override {
    if (confirmed > from) throw LogError(LogError::Kind::gap, "the slot has been confirmed further");
    reader_.emplace(from, 1 << 20);
    pieces_.clear();
    next_unit_ = 0;
    position_ = from;
    started = true;
  }
  std::optional<TransactionPiece> next(std::chrono::milliseconds) override {
    while (pieces_.empty() && next_unit_ < units.size()) {
      for (const std::string& frame : units[next_unit_].frames) {
        const auto storage = std::make_shared<std::string>(frame);
        std::vector<TransactionPiece> read;
        reader_->read(*storage, storage, wanted_, read);
        for (auto& piece : read) pieces_.push_back(std::move(piece));
      }
      ++next_unit_;
    }
    if (pieces_.empty()) {
      position_ = std::max(position_, wal_end);
      return std::nullopt;
    }
    TransactionPiece piece = std::move(pieces_.front());
    pieces_.pop_front();
    if (piece.end_lsn) position_ = *piece.end_lsn;
    return piece;
  }
  Lsn read_position() const override { return position_; }
  void acknowledge(Lsn flushed) override { confirmed = std::max(confirmed, flushed); }
  void want(WantedColumns columns) override { wanted_ = std::move(columns); }
  void stop() noexcept override {
    started = false;
    ++stops;
  }
  bool drained() const { return next_unit_ == units.size() && pieces_.empty(); }

 private:
  std::optional<TransactionReader> reader_;
  std::deque<TransactionPiece> pieces_;
  size_t next_unit_ = 0;
  Lsn position_;
  WantedColumns wanted_;
};

class ModelSource final : public SourceView {
 public:
  explicit ModelSource(ModelLog& log) : log_(log) {}
  SourceFacts given;
  std::string visible = "1000000:1000000:";
  std::vector<PublisherReport> reports;
  std::vector<ParkedValue> parked;
  int snapshots = 0;
  bool slot_dropped = false;
  // The witnesses as they are now, and where in the WAL they came to be so: what a standby has that ends there.
  Witnesses witnesses;
  std::vector<std::pair<Lsn, Witnesses>> renewals;
  // Called before they are renewed; may throw.
  std::function<void()> before_renewal = [] {};
  std::function<void()> before_facts = [] {};
  std::optional<int> reader;  // of the slot

  SourceFacts facts(uint32_t) override {
    before_facts();
    SourceFacts facts = given;
    facts.witnesses = witnesses;
    facts.system_identifier = "700";
    facts.timeline = 1;
    facts.flushed = Lsn(1'000'000);
    facts.slot = SourceSlot{};
    facts.slot->confirmed = log_.confirmed;
    facts.slot->active_pid = reader;
    facts.published_before |= !reports.empty();
    return facts;
  }
  Snapshot snapshot() override {
    ++snapshots;
    return Snapshot::parse(visible);
  }
  Lsn wal_end() override { return log_.wal_end; }
  std::optional<std::string> renew_witness(const std::string& recorded, const std::string& known) override {
    before_renewal();
    if (witnesses.fresh != known) return std::nullopt;
    static int made = 0;
    witnesses = {recorded, "witness-" + std::to_string(++made)};
    // Where a test knows of the WAL it has a commit more.
    if (log_.wal_end.valid()) log_.wal_end = Lsn(log_.wal_end.value() + 1);
    renewals.emplace_back(log_.wal_end, witnesses);
    return witnesses.fresh;
  }
  void report(const PublisherReport& report) override { reports.push_back(report); }
  void park(const std::vector<ParkedValue>& values) override {
    parked.insert(parked.end(), values.begin(), values.end());
  }
  void drop_slot() override { slot_dropped = true; }

 private:
  ModelLog& log_;
};

class ModelClock final : public PublishClock {
 public:
  TimePoint time{};
  std::function<void()> asleep = [] {};
  TimePoint now() override { return time += 1ms; }
  int64_t postgres_us = 0;  // transactions commit at 1
  int64_t postgres_time_us() override { return postgres_us; }
  void sleep(std::chrono::milliseconds duration) override {
    time += duration;
    asleep();
  }
};

// Everything a publisher needs; one that is "killed" is made anew with what lasts.
struct World {
  KafkaModel kafka;
  ModelLog log;
  ModelSource source{log};
  ModelClock clock;
  ModelProducers producers{kafka};
  ModelTopicAdmin topics{kafka};
  ModelProgress progress{kafka, "shop.progress"};
  std::unique_ptr<RowFormat> format = make_protobuf_format();
  PublisherSettings settings;
  ContentSource* content = nullptr;
  std::string run_id = "0123456789abcdef";
  std::unique_ptr<Publisher> publisher;

  World() {
    settings.slot = "s";
    settings.prefix = "shop";
    log.confirmed = Lsn(100);
    start();
  }
  void start() {
    publisher.reset();
    publisher = std::make_unique<Publisher>(
        settings, Publisher::Parts{log, producers, progress, topics, source, *format, clock, content}, run_id);
  }
  // Until the log is at its end and everything is committed.
  void run(int steps_max = 100'000) {
    for (int i = 0; i < steps_max; ++i) {
      publisher->step();
      if (publisher->streaming() && log.drained() && !log.units.empty() &&
          publisher->position() >= log.units.back().end)
        return;
      if (log.units.empty() && publisher->streaming()) return;
    }
    FAIL() << "not through after " << steps_max << " steps";
  }

  void insert(uint64_t xid, uint64_t end, std::vector<int> keys, size_t records_per_frame = 1'000'000) {
    StreamBuilder stream;
    SourceUnit unit;
    unit.xid = xid;
    unit.end = Lsn(end);
    stream.begin(xid, end - 5, 1, end);
    stream.relation(1);
    for (const int key : keys) {
      const std::string row = RowBuilder().integer(1, key).integer(2, static_cast<int64_t>(xid));
      stream.insert(1, row);
      unit.expected.push_back("c " + row);
    }
    stream.commit(end);
    unit.frames = stream.frames(records_per_frame);
    log.units.push_back(std::move(unit));
  }

  // What a read_committed reader makes of the topics, with every check that topic.proto promises.
  struct ReadUnit {
    uint64_t xid = 0;
    Lsn end;
    std::vector<std::string> rows;
    uint32_t parts = 0;
    bool is_position = false, is_content = false;
  };
  std::vector<ReadUnit> read() const {
    std::vector<ReadUnit> units;
    std::map<Lsn, uint64_t> numbers;
    Lsn previous;
    bool within = false;
    bool first = true;
    for (const ModelRecord& record : kafka.read("shop.transaction", 0)) {
      topic::v1::Part part;
      EXPECT_TRUE(part.ParseFromString(record.value));
      EXPECT_EQ(part.format(), 1u);
      EXPECT_EQ(Lsn(part.previous_end_lsn()), previous) << "the chain";
      if (part.content()) {
        EXPECT_FALSE(within || part.begin() || part.end() || first);
        EXPECT_EQ(Lsn(part.end_lsn()), previous);
        EXPECT_EQ(part.first_number(), numbers[previous] + 1);
      }
      if (!within) units.emplace_back();
      ReadUnit& unit = units.back();
      if (first) {
        EXPECT_EQ(part.previous_end_lsn(), 0u);
        EXPECT_FALSE(part.begin());
        first = false;
      }
      unit.is_content = part.content();
      unit.is_position = part.part() == 0 && !part.begin() && !part.end() && !part.content() && part.spans().empty();
      unit.xid = part.xid();
      unit.end = Lsn(part.end_lsn());
      if (!unit.is_position && !unit.is_content) {
        EXPECT_EQ(part.begin(), !within);
        EXPECT_EQ(part.part(), ++unit.parts);
        EXPECT_EQ(record.key, std::to_string(part.xid()));
      }
      std::map<uint64_t, std::string> rows;
      for (const auto& span : part.spans()) {
        Crc32c crc;
        uint64_t count = 0, number = 0;
        for (const ModelRecord& data : kafka.read(span.topic(), span.partition())) {
          if (data.offset < static_cast<int64_t>(span.first_offset()) ||
              data.offset > static_cast<int64_t>(span.last_offset()))
            continue;
          ++count;
          crc.add(data.value);
          EXPECT_EQ(data.headers.at("lsn"), unit.end.to_string());
          EXPECT_EQ(data.headers.at("xid"), std::to_string(part.xid()));
          EXPECT_GT(std::stoull(data.headers.at("number")), number);
          number = std::stoull(data.headers.at("number"));
          topic::v1::Row row;
          EXPECT_TRUE(row.ParseFromString(data.value));
          if (data.has_key) {
            EXPECT_EQ(partition_of(data.key, kafka.table_partitions), static_cast<int32_t>(span.partition()));
          }
          rows[number] = data.headers.at("op") + " " + (data.headers.at("op") == "d" ? row.before() : row.after());
        }
        EXPECT_EQ(count, span.count());
        EXPECT_EQ(crc.value(), span.crc());
      }
      EXPECT_EQ(rows.size(), part.records());
      uint64_t number = part.first_number();
      for (const auto& [found, row] : rows) {
        EXPECT_EQ(found, number++);
        unit.rows.push_back(row);
      }
      if (!rows.empty()) numbers[unit.end] = rows.rbegin()->first;
      within = !unit.is_position && !unit.is_content && !part.end();
      if (!within) previous = unit.end;
    }
    EXPECT_FALSE(within) << "a transaction without its end";
    return units;
  }
  void expect_exactly_once() {
    EXPECT_EQ(progress.read("home", ProgressStore::Reach::readable).progress->transaction_offset,
              kafka.read("shop.transaction", 0).back().offset);
    std::vector<ReadUnit> found;
    for (auto& unit : read())
      if (!unit.is_position && !unit.is_content) found.push_back(std::move(unit));
    ASSERT_EQ(found.size(), log.units.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].end, log.units[i].end);
      EXPECT_EQ(found[i].rows, log.units[i].expected);
    }
  }
  std::string stopped_by() {
    try {
      run();
    } catch (const PublishStopped& stopped) {
      return stopped.reason();
    }
    return "nothing";
  }
};

}  // namespace anabranch::test
