// Where publishing goes on, or why it does not: a pure function of what is found at the start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/pg/lsn.hpp"
#include "sidecar/publish/progress.hpp"

namespace anabranch {

// A replication slot as the server shows it.
struct SourceSlot {
  bool usable = true;   // of our decoder, in this database
  std::string problem;  // why it is not
  bool lost = false;    // invalidated: max_slot_wal_keep_size
  Lsn confirmed;        // C
  std::optional<int> active_pid;
};

// What tells the source from an earlier copy of its files (table anabranch.publisher_witness). Whoever publishes renews
// them: `fresh` becomes a new one once the progress topic holds the one before, and goes into a progress whose P has
// come to where the WAL has it. So whatever history leads to P also has the witness that is recorded with P, and what
// was copied before that does not.
struct Witnesses {
  std::string recorded;  // held by the progress topic when they were renewed last; empty: none
  std::string fresh;     // to be held by it next; empty: there was none yet

  bool have(const std::string& witness) const { return !witness.empty() && (witness == recorded || witness == fresh); }
};

// The source and what the home database remembers of publishing it.
struct SourceFacts {
  std::string system_identifier;
  uint32_t timeline = 0;
  Lsn flushed;  // end of the server's flushed WAL
  // Where the line of history that progress was written on was left (TIMELINE_HISTORY); nullopt: not known, or the
  // same.
  std::optional<Lsn> switched_at;
  std::optional<SourceSlot> slot;  // nullopt: there is none
  bool published_before = false;   // table anabranch.publisher says so
  Lsn published_lsn;               // what it remembers of P; never decided by, told to people
  Witnesses witnesses;             // read later than the progress that they are compared with
};

// A topic that progress has a lower bound for.
struct TopicEnd {
  std::string topic;
  std::vector<int64_t> recorded;              // next offsets, by partition
  std::optional<std::vector<int64_t>> found;  // nullopt: there is no such topic
};

struct StartupFacts {
  StoredProgress stored;
  std::string cluster_id;
  std::vector<TopicEnd> topics;            // of stored.topics
  std::optional<int64_t> transaction_end;  // next offset of the transaction topic; nullopt: there is no such topic
  SourceFacts source;
  std::string slot, instance;  // settings
  Lsn known;                   // P that this process has seen last; invalid: none yet
};

struct StartupDecision {
  enum class Kind {
    begin,  // first publishing: from C on
    go_on,  // from P on
    wait,   // the slot is in use: ask again
    stop    // by name
  };
  enum class Reason {
    none,
    first_start,
    recorded,
    slot_active,
    gap,            // C > P
    progress_lost,  // published before, and no progress
    progress_fell,  // P is lower than this process knows
    slot_missing,
    slot_unusable,
    slot_lost,
    other_cluster,   // of Kafka
    topic_lost,      // missing, or ends before what is recorded
    other_system,    // system identifier
    other_identity,  // another slot or instance of the same system
    diverged,        // the topics hold what the new primary never had
    older_server,    // same timeline, and its WAL ends before P
    other_history,   // same timeline, and a copy from before P that has gone its own way since
    shared_prefix    // another source publishes under the prefix
  };
  Kind kind = Kind::stop;
  Reason reason = Reason::none;
  Lsn position;         // begin, go_on
  std::string message;  // what was found, for people; for stop with the remedy

  bool may_go_on() const { return kind == Kind::begin || kind == Kind::go_on; }
};

StartupDecision decide_startup(const StartupFacts& facts);

// The same before the producer is initialised, so that nobody is fenced by one that cannot go on, as a clone: by what
// is readable of the progress, without the topics. C, unlike the rest of the source's facts, has to be older than the
// progress, or a publisher that runs would look like a gap. Kind::go_on where nothing speaks against it for sure.
// Reason::other_history is sure once the progress, read again, holds the same witness.
StartupDecision decide_before_init(const StartupFacts& facts);

// What `anabranch adopt` makes of a decision, with names set to its own.
struct Adoption {
  bool complete = false;  // nothing is missing: no gap
  Lsn position;           // where publishing goes on
};

// `confirmed`: C, of the facts that were decided by; `published`: P. nullopt: there is nothing that adopting would
// mend, as a slot that is in use.
std::optional<Adoption> decide_adoption(const StartupDecision& decision, Lsn confirmed, Lsn published);

// Short name of a reason, for logs and the table anabranch.publisher: "gap", "topic_lost".
const char* reason_name(StartupDecision::Reason reason);

}  // namespace anabranch
