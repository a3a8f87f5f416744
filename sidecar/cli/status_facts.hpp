// What `anabranch status` looks at.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/cli/finding.hpp"
#include "sidecar/pg/connection.hpp"

namespace anabranch {

using std::chrono::milliseconds;

struct SourceStatus {
  std::string name;
  std::string slot;
  std::string publication;
  Lsn applied;                            // end of what all live copies hold
  std::optional<Lsn> confirmed;           // what the slot may forget; nullopt: no such slot
  int64_t lag_bytes = 0;                  // WAL written since `applied`, of whatever kind
  std::optional<milliseconds> lag;        // of the live copies; 0 when level, nullopt: nothing has been applied yet
  std::string wal_status;                 // of the slot; empty: no such slot
  int64_t kept_wal_bytes = 0;             // by the slot
  std::optional<int64_t> wal_left_bytes;  // until the server gives up the slot; nullopt: no bound
  bool slot_active = false;
  bool sidecar_running = false;             // a sign of life within 10 s
  std::optional<milliseconds> seen_age;     // of that sign
  std::optional<milliseconds> running_for;  // since the sidecar's start
  std::string sidecar_host;
  int64_t sidecar_pid = 0;
  std::string sidecar_version;
  int64_t applied_rows = 0;
  int64_t applied_transactions = 0;
};

// What is published to Kafka.
struct PublisherStatus {
  std::string source, prefix, cluster_id;
  std::string state;                      // starting, waiting, publishing, stopped
  std::string reason;                     // why it waits or has stopped; empty where all is well
  bool running = false;                   // a sign of life within 20 s
  Lsn published;                          // end of what is known to be in the topics
  int64_t lag_bytes = 0;                  // WAL written since, of whatever kind
  int64_t records = 0, transactions = 0;  // written since it started
  int64_t dead_letters = 0;               // values too large for their topics, and messages that are no rows
  milliseconds seen_age{0};
  milliseconds running_for{0};
  std::string host;
  int64_t pid = 0;
};

struct CopyStatus {
  std::string name;  // qualified and quoted
  std::string owner;
  std::string state;
  Severity severity = Severity::ok;
  bool pause_requested = false;
  std::string copy_class;
  std::optional<Lsn> lsn;
  std::optional<int64_t> lag_bytes;
  std::optional<int64_t> fill_rows;
  std::optional<int64_t> fill_rows_total;  // an estimate
  std::optional<double> fill_rows_per_second;
  std::optional<milliseconds> fill_time_left;
  std::string sqlstate;
  std::string reason;
  std::optional<Lsn> failed_lsn;
  std::string problem;  // a right that its owner has lost
};

struct IndexStatus {
  std::string name;  // of its copy, qualified and quoted
  std::string engine;
  std::string state;  // waiting, filling, rebuilding, live; of the copy while that is not live
  Severity severity = Severity::ok;
  std::optional<Lsn> lsn;  // readers find everything up to here
  std::optional<int64_t> lag_bytes;
  int64_t documents = 0;      // sent since it was created
  int64_t swept = 0;          // sent of the generation that is being filled,
  int64_t documents_all = 0;  // of so many, an estimate
  int64_t refused = 0;        // that the engine will not take
  std::string problem;        // why nothing can be delivered
};

// Who keeps old row versions from being removed.
struct SnapshotHolder {
  std::string who;  // "process 12 of role app (psql)", "prepared transaction ..."
  milliseconds age{0};
  std::string query;  // its head; empty where not to be seen
  std::string remedy;
};

struct PreparedTransaction {
  std::string gid;
  std::string owner;
  milliseconds age{0};
};

struct FillSlot {
  std::string name;
  int64_t kept_wal_bytes = 0;
  bool active = false;
  bool wanted = false;  // a copy that is being filled names it
};

struct StatusFacts {
  std::string server;  // "database "shop" on db1:5432 as "app""
  std::string database;
  std::string time;               // the server's, "2026-01-31 12:00:00 UTC"
  std::string extension_version;  // empty: not in this database
  bool in_recovery = false;
  std::optional<SourceStatus> source;  // nullopt: no sidecar has run yet
  std::vector<PublisherStatus> publishers;
  std::vector<CopyStatus> copies;
  std::vector<IndexStatus> indexes;
  std::optional<SnapshotHolder> holder;  // the oldest, if older than a minute
  std::vector<PreparedTransaction> prepared;
  std::vector<FillSlot> fill_slots;
  std::vector<Finding> findings;  // as the extension judges
};

// Reads all that. Throws PgError; SQLSTATE 42501 where the role is no member of anabranch_monitor.
StatusFacts read_status(Connection& connection);

}  // namespace anabranch
