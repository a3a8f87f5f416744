#include "sidecar/index/deliveries.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "sidecar/apply/failure.hpp"
#include "sidecar/backoff.hpp"
#include "sidecar/home.hpp"
#include "sidecar/index/delivery.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds look_interval = 1s;           // for indexes
constexpr milliseconds ask_interval = 50ms;          // for a request to look
constexpr milliseconds engine_interval = 2s;         // between looks at an engine with nothing to do
constexpr milliseconds live_interval = 100ms;        // between looks whether the copy is live
constexpr milliseconds idle_interval = 500ms;        // a turn is taken that often, whatever has been heard
constexpr milliseconds trim_interval = 1s;           // between removals of pending keys that were delivered
constexpr milliseconds trim_others_interval = 1min;  // the same, of indexes that nobody delivers
constexpr milliseconds retry_delay_min = 100ms, retry_delay_max = 5s;
constexpr milliseconds refused_delay = 10s;   // where somebody has to do something first
constexpr milliseconds tell_interval = 1min;  // between lines in the log about the same problem
constexpr int64_t pending_max = 20'000'000;   // keys that wait; beyond, the index is filled anew
constexpr const char* undefined_table = "42P01";
constexpr std::size_t indexes_max = 64;  // each is a thread and a session

ConnectOptions delivery_options(const RunSettings& settings, const char* name, const Stop& stop) {
  ConnectOptions options = home_options(settings);
  options.application_name = name;
  // The lock of an index is held for as long as a comparison has its turn.
  options.settings = {{"work_mem", apply_work_mem}, {"client_connection_check_interval", "500"}};
  options.stop = &stop;
  return options;
}

}  // namespace

// The thread of one index.
class Deliveries::Worker {
 public:
  Worker(Deliveries& deliveries, IndexSettings settings, IndexCopy copy)
      : of_(deliveries), settings_(std::move(settings)), copy_(std::move(copy)) {
    thread_ = start_thread("index", [this] { run(); });
  }
  ~Worker() {
    stop();
    thread_.join();
  }

  void stop() {
    stop_.request();
    of_.changed_.notify_all();
  }
  const IndexCopy& copy() const { return copy_; }
  bool ended() const { return ended_; }

 private:
  void run();
  bool work();
  void wait(std::optional<Clock::time_point> until);
  void tell(const std::string& problem, const std::string& remedy, milliseconds delay);
  void trim(Connection& connection);

  Deliveries& of_;
  const IndexSettings settings_;
  const IndexCopy copy_;
  Stop stop_;
  Backoff backoff_{retry_delay_min, retry_delay_max};
  std::optional<Connection> connection_;
  std::unique_ptr<Delivery> delivery_;
  uint64_t seen_ = 0;  // of Deliveries::applied_
  Clock::time_point trimmed_{}, looked_at_engine_{}, told_at_{};
  std::string told_;        // the problem that was logged last
  int64_t trimmed_to_ = 0;  // pending keys up to here are deleted
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// Nothing may leave it but by being logged; that goes for the handlers, too.
void Deliveries::Worker::run() {
  while (!stop_.requested()) {
    try {
      if (!work()) break;
    } catch (const Interrupted&) {
      break;
    } catch (const IndexError& error) {
      if (delivery_) delivery_->look_again();
      const bool refused = error.kind() == IndexError::Kind::refused;
      tell(error.what(), error.remedy(), refused ? refused_delay : backoff_.next());
    } catch (const PgError& error) {
      const Verdict what = verdict(error);
      if (what == Verdict::fenced) {
        of_.fenced_ = true;
        break;
      }
      if (error.sqlstate() == undefined_table) break;  // it is being dropped
      // Whose turn it was is told by the server's locks: whatever was under way is not to go on.
      if (what == Verdict::reconnect || error.connection_lost() || !connection_ || !connection_->usable()) {
        delivery_.reset();
        connection_.reset();
      }
      if (what == Verdict::retry) {
        stop_.wait(retry_delay_min);
      } else {
        tell(in_words(error), "see the sidecar's log", backoff_.next());
      }
    } catch (const std::exception& error) {
      delivery_.reset();
      tell(error.what(), "see the sidecar's log", backoff_.next());
    }
  }
  ended_ = true;
}

// One turn, and the wait for the next. False: the index is another now, or gone.
bool Deliveries::Worker::work() {
  if (!connection_) connection_.emplace(delivery_options(of_.settings_, "anabranch index", stop_));
  if (!delivery_) {
    delivery_ = std::make_unique<Delivery>(*connection_, settings_, copy_, of_.token_.token, stop_);
    looked_at_engine_ = Clock::now();
  }
  {
    const std::lock_guard lock(of_.mutex_);
    seen_ = of_.applied_;
  }
  switch (delivery_->take_turn()) {
    case Delivery::Outcome::changed:
      return false;
    case Delivery::Outcome::more:
      looked_at_engine_ = Clock::now();
      break;
    case Delivery::Outcome::waiting:
      wait(Clock::now() + live_interval);
      break;
    case Delivery::Outcome::done:
      backoff_.succeeded();
      told_.clear();
      wait(delivery_->due());
      break;
  }
  if (Clock::now() >= looked_at_engine_ + engine_interval) {
    looked_at_engine_ = Clock::now();
    delivery_->look_again();
  }
  trim(*connection_);
  return true;
}

void Deliveries::Worker::wait(std::optional<Clock::time_point> until) {
  const Clock::time_point latest = std::min(until.value_or(Clock::time_point::max()), Clock::now() + idle_interval);
  std::unique_lock lock(of_.mutex_);
  of_.changed_.wait_until(lock, latest, [&] { return stop_.requested() || of_.applied_ != seen_; });
}

void Deliveries::Worker::tell(const std::string& problem, const std::string& remedy, milliseconds delay) {
  if (problem != told_ || Clock::now() >= told_at_ + tell_interval) {
    told_ = problem;
    told_at_ = Clock::now();
    log_warning("an index cannot be delivered",
                {{"index", copy_.name}, {"error", problem}, {"remedy", remedy}, {"retry_ms", delay}});
  }
  try {
    if (connection_ && connection_->usable()) of_.note_problem(*connection_, copy_, problem, remedy);
    if (delivery_) delivery_->record_anyway();
    // What waits must not grow without bound while nothing can be delivered.
    if (connection_ && connection_->usable()) trim(*connection_);
  } catch (const Interrupted&) {
    return;
  } catch (const PgError& error) {
    log_debug("a problem of an index could not be noted", {{"index", copy_.name}, {"error", error.what()}});
  }
  stop_.wait(delay);
}

void Deliveries::Worker::trim(Connection& connection) {
  if (Clock::now() < trimmed_ + trim_interval) return;
  trimmed_ = Clock::now();
  trimmed_to_ = of_.trim(connection, copy_, trimmed_to_);
}

Deliveries::Deliveries(const RunSettings& settings, const SourceToken& token)
    : settings_(settings), token_(token), thread_(start_thread("indexes", [this] { run(); })) {}

Deliveries::~Deliveries() {
  stop_.request();
  thread_.join();
  if (removal_.joinable()) removal_.join();
  for (const auto& [copy, worker] : workers_) worker->stop();
  workers_.clear();
}

void Deliveries::applied() {
  {
    const std::lock_guard lock(mutex_);
    ++applied_;
  }
  changed_.notify_all();
}

void Deliveries::look_soon() {
  asked_ = true;
}

// Nothing may leave it but by being logged.
void Deliveries::run() {
  Backoff backoff(retry_delay_min, retry_delay_max);
  std::optional<Connection> connection;
  while (!stop_.requested()) {
    try {
      if (!connection) {
        ConnectOptions options = delivery_options(settings_, "anabranch indexes", stop_);
        // Whoever locks what belongs to one index must not keep all others waiting.
        options.settings.emplace_back("lock_timeout", "5000");
        connection.emplace(options);
      }
      // In this order: what is seen as dropped has no worker any more that might make it anew.
      auto dropped = dropped_indexes(*connection);
      look(*connection);
      begin_removal(std::move(dropped));
      backoff.succeeded();
      for (milliseconds waited{}; waited < look_interval && !asked_.exchange(false); waited += ask_interval)
        if (stop_.wait(ask_interval)) return;
    } catch (const Interrupted&) {
      return;
    } catch (const PgError& error) {
      if (verdict(error) == Verdict::fenced) {
        fenced_ = true;
        return;
      }
      connection.reset();
      const milliseconds delay = backoff.next();
      log_warning("the indexes could not be looked at",
                  {{"error", error.message()}, {"sqlstate", error.sqlstate()}, {"retry_ms", delay}});
      stop_.wait(delay);
    } catch (const std::exception& error) {
      const milliseconds delay = backoff.next();
      log_warning("the indexes could not be looked at", {{"error", error.what()}, {"retry_ms", delay}});
      stop_.wait(delay);
    }
  }
}

void Deliveries::look(Connection& connection) {
  const std::vector<IndexCopy> found = indexes_to_deliver(connection);
  std::erase_if(workers_, [&](const auto& entry) {
    const auto same = std::find_if(found.begin(), found.end(), [&](const IndexCopy& copy) {
      return copy.oid == entry.first && copy.as_read == entry.second->copy().as_read;
    });
    return same == found.end() || entry.second->ended();
  });
  std::set<std::string> without_worker;
  const bool is_trim_due = Clock::now() >= trimmed_others_ + trim_others_interval;
  if (is_trim_due) trimmed_others_ = Clock::now();
  for (const IndexCopy& copy : found) {
    if (workers_.contains(copy.oid)) continue;
    const auto section = settings_.indexes.find(copy.engine);
    if (section != settings_.indexes.end() && workers_.size() < indexes_max) {
      log_info("delivering to an index", {{"index", copy.name}, {"engine", copy.engine}});
      workers_.emplace(copy.oid, std::make_unique<Worker>(*this, section->second, copy));
      continue;
    }
    without_worker.insert(copy.as_read);
    if (noted_.contains(copy.as_read)) {
      if (is_trim_due) trim(connection, copy, 0);
    } else if (section == settings_.indexes.end()) {
      note_problem(connection, copy, "the settings file of the sidecar has no section [index." + copy.engine + "]",
                   "write it, and start the sidecar anew");
    } else {
      note_problem(connection, copy, "a sidecar delivers to " + std::to_string(indexes_max) + " indexes at most",
                   "drop others, or keep these from a database of their own");
    }
  }
  noted_ = std::move(without_worker);
}

// Those whose engine the settings file names.
std::vector<Deliveries::Dropped> Deliveries::dropped_indexes(Connection& connection) const {
  const Result rows =
      connection.exec("SELECT owner, name, engine, options FROM anabranch.dropped_indexes()", Parameters());
  std::vector<Dropped> dropped;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    const auto section = settings_.indexes.find(std::string(rows.text(row, 2)));
    if (section == settings_.indexes.end()) continue;
    IndexDefinition definition;
    definition.owner = rows.text(row, 0);
    definition.name = rows.text(row, 1);
    definition.options = nlohmann::json::parse(rows.text(row, 3));
    dropped.push_back({section->second, std::move(definition)});
  }
  return dropped;
}

// What was dropped in the database is removed from its engine, when that answers; by a thread of its own, as that may
// take long.
void Deliveries::begin_removal(std::vector<Dropped> dropped) {
  if (removing_ || dropped.empty()) return;
  if (removal_.joinable()) removal_.join();
  removing_ = true;
  try {
    removal_ = start_thread("dropped", [this, dropped = std::move(dropped)] {
      try {
        for (const auto& [settings, definition] : dropped) remove(settings, definition);
      } catch (const Interrupted&) {
      } catch (const std::exception& error) {
        log_warning("the dropped indexes could not be removed", {{"error", error.what()}});
        stop_.wait(retry_delay_max);
      }
      removing_ = false;
    });
  } catch (...) {
    removing_ = false;
    throw;
  }
}

void Deliveries::remove(const IndexSettings& settings, const IndexDefinition& definition) {
  try {
    make_index(settings, definition, stop_)->drop();
  } catch (const IndexError& error) {
    if (not_removed_.insert(definition.owner).second)
      log_warning("a dropped index could not be removed from its engine, trying again",
                  {{"index", definition.name}, {"error", error.what()}, {"remedy", error.remedy()}});
    return;
  }
  not_removed_.erase(definition.owner);
  Connection connection(delivery_options(settings_, "anabranch index", stop_));
  connection.exec("SELECT anabranch.index_is_gone($1)", Parameters().text(definition.owner));
  log_info("removed a dropped index from its engine", {{"index", definition.name}});
}

int64_t Deliveries::trim(Connection& connection, const IndexCopy& copy, int64_t trimmed_to) {
  const Result trimmed = connection.exec("SELECT anabranch.trim_pending($1::oid, $2::bigint, $3::bigint, $4::bigint)",
                                         Parameters()
                                             .integer(copy.oid)
                                             .integer(static_cast<int64_t>(token_.token))
                                             .integer(trimmed_to)
                                             .integer(pending_max));
  return trimmed.null(0, 0) ? trimmed_to : trimmed.integer(0, 0);
}

void Deliveries::note_problem(Connection& connection, const IndexCopy& copy, const std::string& problem,
                              const std::string& remedy) {
  connection.exec(
      "SELECT anabranch.note_index_problem($1::oid, $2::bigint, $3, $4)",
      Parameters().integer(copy.oid).integer(static_cast<int64_t>(token_.token)).text(problem).text(remedy));
}

}  // namespace anabranch
