// The run of a source: what `anabranch run` does once its settings have been read.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sidecar/index/settings.hpp"
#include "sidecar/publish/settings.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Everything a run needs to know. The defaults are those of the settings file.
struct RunSettings {
  std::string conninfo;         // of the home database, as libpq takes it
  std::string source = "home";  // anabranch.source.name
  std::string slot;             // must be given
  std::string publication = "anabranch";

  // log = "kafka": changes go to topics, and are read from there; nullopt: the log is the slot itself.
  std::optional<KafkaSettings> kafka;
  // What of it this process does.
  enum class Part { both, publish, apply };
  Part part = Part::both;

  // These may change with a reload.
  std::chrono::milliseconds batch_interval_max{1'000};
  std::size_t batch_rows_max = 200'000;
  int fill_workers_max = 2;
  int64_t wal_keep_limit_bytes = int64_t{20} << 30;  // copies that need older WAL than this are let go; 0: no limit

  // These need a new run.
  std::chrono::milliseconds verify_snapshot_max{5'000};  // that long a verification may hold a snapshot
  std::string verify_pause_when;                         // a query; while it returns true nothing is verified
  std::size_t queue_bytes_max = 32 << 20;                // read ahead of the applier, for each slot
  std::size_t value_bytes_max = 256 << 20;  // a larger value is not put together; a copy that needs it becomes stale
  IndexSections indexes;                    // engines that hold documents made of copies
};

// The run cannot go on, and a new one would fare no better before somebody has done something. what() says what and
// names the remedy.
class RunError : public std::runtime_error {
 public:
  enum class Kind {
    configuration,  // the server, the database or our role is not prepared
    fenced,         // another sidecar has taken over this source
    log_lost        // the log does not hold any more what the copies need
  };
  RunError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }
  // For main: 1, 3 and 4 in the order of Kind.
  int exit_code() const { return kind_ == Kind::configuration ? 1 : kind_ == Kind::fenced ? 3 : 4; }

 private:
  Kind kind_;
};

// Settings to go on with after SIGHUP; nullopt: none new. Called by the run's own thread about ten times a second, so
// it should only look at a flag. Must not throw.
using ReloadSettings = std::function<std::optional<RunSettings>()>;

// Keeps the copies in step until `stop` is requested: connects, takes the source over from a sidecar that is gone,
// reads the log from the recorded position, applies it, fills new copies, acknowledges. With RunSettings::kafka the log
// is published as well, and the copies are fed from the topics, each in a thread of its own; RunSettings::part may
// leave out one of the two. A server or brokers that go away are waited for, without limit, with pauses of at most five
// seconds. Returns when stopped, having finished or rolled back the batch under way; throws RunError.
void run(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload = {});

// Names of the replication origins that a run uses: the applier's, then the workers'.
std::vector<std::string> replication_origins(const RunSettings& settings);

}  // namespace anabranch
