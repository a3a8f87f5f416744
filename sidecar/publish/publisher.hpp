// Puts what a log reads into Kafka, exactly once. A state machine over interfaces: it has no thread, no time and no
// connection of its own, so a simulator can drive it.
//
//   recovering  make a producer (this fences older ones and settles what they left), read P, decide by startup.hpp
//   streaming   begin, records, flush, Parts, Progress last, commit, acknowledge P; again
//
// Whatever fails in Kafka for a reason that passes leads from streaming to recovering: a new producer, P read again,
// the log started again at P. Nothing is kept over that.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/snapshot.hpp"
#include "sidecar/publish/content.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/publish/producer.hpp"
#include "sidecar/publish/progress.hpp"
#include "sidecar/publish/startup.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

// Time and waiting.
class PublishClock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~PublishClock() = default;
  virtual TimePoint now() = 0;
  // The wall clock, in PostgreSQL's microseconds since 2000-01-01 UTC: only to tell whether we are far behind.
  virtual int64_t postgres_time_us() = 0;
  // May end early. Throws Interrupted when a stop is requested.
  virtual void sleep(std::chrono::milliseconds time) = 0;
};

// A change that stands in the log without one of its columns (oversize = "park"); or a dead letter of a stream.
struct ParkedValue {
  Lsn lsn;
  uint64_t number = 0;
  std::string topic, relation, column, reason;
  std::string key;  // of the record, its bytes
  uint64_t bytes = 0;
  std::optional<std::string> content;  // of a message that is no row of its stream: it stands nowhere else for good
};

struct PublisherReport {
  std::string state;   // starting, waiting, publishing, stopped
  std::string reason;  // empty: all is well
  Lsn lsn;             // P
  std::string cluster_id;
  uint64_t records = 0, transactions = 0;  // since the publisher was made
};

// The database that is published. Throws PgError.
class SourceView {
 public:
  virtual ~SourceView() = default;

  // `timeline`: the one that progress was written on; 0: none.
  virtual SourceFacts facts(uint32_t timeline) = 0;
  // What is visible now (rule V).
  virtual Snapshot snapshot() = 0;
  // End of the WAL: what is committed now lies before it.
  virtual Lsn wal_end() = 0;
  // Stores {recorded, a new one} as the database's witnesses and returns the new one. nullopt, and nothing done: the
  // fresh one is not `known` any more, another process has renewed it.
  virtual std::optional<std::string> renew_witness(const std::string& recorded, const std::string& known) = 0;
  // Writes to anabranch.publisher, for people; first_published is set with the first.
  virtual void report(const PublisherReport& report) = 0;
  // Writes to anabranch.dead_letters, durable on return; again with the same (lsn, number, column): no-op.
  virtual void park(const std::vector<ParkedValue>& values) = 0;
  // Lets go of the WAL for good (wal_keep_limit): drops the slot.
  virtual void drop_slot() = 0;
};

// Of one Kafka transaction.
struct BatchBounds {
  size_t bytes_max;                        // of values
  size_t records_max;                      //
  std::chrono::milliseconds interval_max;  // from the first record to the commit
};

struct PublisherSettings {
  std::string source = "home";
  std::string slot, instance;
  std::string prefix;
  TopicSettings topics;
  bool keyless_full_row = false;                  // keyless_tables = "full_row"
  bool oversize_fragment = false;                 // oversize = "fragment"; else "park"
  std::vector<std::string> message_prefixes;      // of logical messages to be published
  std::set<std::string> latest_tables;            // schema.name of those with a topic of the latest row of each key
  ChosenTopics table_topics;                      // for tables that shall not have the topic of their name
  int64_t wal_keep_limit_bytes = 0;               // 0: no limit
  ContentMode content = ContentMode::never;       // snapshot
  std::map<std::string, ContentMode> content_of;  // by schema.name, where it is another

  // Bounds.
  size_t record_bytes_max = 900'000;  // key, value and headers of one record
  BatchBounds batch{8 << 20, 100'000, std::chrono::milliseconds(50)};
  // While we are far behind nobody waits for the last row, and each commit costs round trips in which nothing is sent.
  BatchBounds batch_behind{64 << 20, 1'000'000, std::chrono::milliseconds(1'000)};
  // A part of a transaction ends with the change that reaches one of these: who reads it has all of it in memory at
  // once.
  size_t part_bytes_max = 4 << 20;  // of values
  size_t part_records_max = 10'000;
  std::chrono::milliseconds idle_interval{1'000};  // between positions of an idle log
  std::chrono::milliseconds topic_position_interval{10'000};
  std::chrono::milliseconds witness_interval{60'000};  // from when one is recorded to the next
  int content_chunk_rows_max = 20'000;                 // read at a time
  size_t content_window_bytes_max = 32 << 20;          // to remember what is changed meanwhile
};

// Publishing cannot go on, and would not after a new start. what() names the reason and the remedy.
class PublishStopped : public std::runtime_error {
 public:
  PublishStopped(std::string reason, const std::string& message)
      : std::runtime_error(message), reason_(std::move(reason)) {}
  // reason_name() of a StartupDecision, or: fenced, refused, keyless, wal_keep_limit, replay_differs, format,
  // too_large, key_unreadable, topic_shared, progress_unreadable.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

class Publisher {
 public:
  struct Parts {
    ChangeLog& log;
    ProducerFactory& producers;
    ProgressStore& progress;
    TopicAdmin& topics;
    SourceView& source;
    RowFormat& format;
    PublishClock& clock;
    ContentSource* content = nullptr;  // nullptr: rows that exist are not published
  };

  // `run_id`: 16 hexadecimal digits, different in every process.
  Publisher(PublisherSettings settings, Parts parts, std::string run_id);
  ~Publisher();

  // One bounded step: recover, or take what the log has and commit what is due. Waits at most about idle_interval.
  // Throws PublishStopped, PgError and LogError (the source's, for the caller to judge), Interrupted.
  void step();

  // Aborts what is begun, waiting a moment at most, so that no reader waits for it; for an orderly end. Never throws.
  // `reason`: why, for those who look at the status; empty: it was asked to.
  void finish(const std::string& reason = {}) noexcept;

  // P: everything up to here is committed in Kafka.
  Lsn position() const;
  bool streaming() const;

  // To be called in every wait for Kafka: writes reports, looks at wal_keep_limit. May throw as step() does; costs
  // nothing when called often.
  void while_waiting();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
