// Method, where the sources can be read in one short statement:
//   1. A slot of its own is copied from the main one: the log from the copy's position on can be read beside the
//      applier.
//   2. In one REPEATABLE READ transaction sources and copy are seen under a snapshot S, and the copy's position P with
//      them. By rule V everything the copy has is visible in S. L is the WAL's insert position right behind S: whatever
//      S shows ends at or before L.
//   3. The log is read from P to L. Transactions that S shows are what the copy lacks; their net change goes to the
//      server, which takes it into account and compares every group or row in one statement (extension/proof.cpp).
//   4. To repair, batches are kept out for a moment. The log is read on to where the copy stands by then: only a
//      TRUNCATE, or for rows with a key a newer change of the same row, forbids what was found to be written.
// A statement that takes longer than a snapshot may be held is given up, and a twin of the copy is filled in small
// steps instead: when both are live they have the same position, and their tables are compared.
#include "sidecar/copy/verify.hpp"

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

#include "sidecar/apply/consolidate.hpp"
#include "sidecar/apply/failure.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/copy/verify_index.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/home.hpp"
#include "sidecar/log/kafka_log.hpp"
#include "sidecar/log/slot_log.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds look_wait = 500ms;        // between looks at what is waited for
constexpr milliseconds read_time_max = 5s;       // of the log, while a snapshot is held
constexpr milliseconds locked_time_max = 100ms;  // of the log, while batches are kept out
constexpr milliseconds retry_wait = 50ms;
constexpr milliseconds swap_wait = 100ms;
constexpr int corrections_attempts_max = 100;
constexpr int64_t lag_bytes_max = 64 << 20;  // further behind, a copy is not verified
constexpr std::size_t changes_bytes_max = 64 << 20;
constexpr int64_t differences_max = 10'000;  // with more, a copy is better filled anew than repaired
// A sketch tells one of so many parts of the groups from another.
constexpr int buckets = 4'096;
constexpr const char* serialization_failure = "40001";
constexpr const char* query_canceled = "57014";
constexpr const char* wrong_state = "AN002";

// The run is over before its time; what() says why, for the one who asked.
struct Ended : std::runtime_error {
  Ended(std::string new_state, const std::string& reason) : std::runtime_error(reason), state(std::move(new_state)) {}
  std::string state;  // failed or cancelled
};

struct Proof {
  Snapshot snapshot;
  Lsn lsn;       // P
  Lsn inserted;  // L
};

struct TwinState {
  std::string state, reason;  // empty: there is none
  std::optional<Lsn> lsn;     // of both, once they are level with each other
  bool copy_lives = false, swap = false, swapped = false;
};

class Verification {
 public:
  Verification(const VerifyContext& context, Session& session, const VerificationRun& run)
      : context_(context), session_(session), run_(run), slot_(verify_slot_name(context.settings.slot)) {}

  void carry_out();

 private:
  void note(const std::string& waiting, const std::string& method = {});
  void wait(milliseconds time, const std::string& why);
  bool find_copy();
  bool is_level();
  void open_log();
  void close_log();
  bool prove_in_one_pass();
  void read_changes(const Proof& proof);
  void read_until(Lsn position, Clock::time_point deadline, const Snapshot* snapshot);
  std::string net_changes(Consolidator& consolidator) const;
  TwinState twin_state();
  void prove_by_twin();
  void swap();
  void end_twin(bool keep);
  void compare_documents();
  void repair();
  bool correct();
  void give_up(const std::string& state, const std::string& reason);
  void end(const std::string& state, const std::string& reason);

  const VerifyContext& context_;
  Session& session_;
  const VerificationRun& run_;
  const std::string slot_;
  CopyRow copy_;
  std::unique_ptr<ChangeLog> log_;
  Consolidator unseen_;  // what S shows and the copy lacks
  Consolidator since_;   // everything after P
  bool inside_ = false;  // the log stands within a transaction
  int64_t compared_ = 0, differing_ = 0;
};

void Verification::carry_out() {
  const bool replaces = run_.purpose != "verify";
  log_info(replaces ? "replacing a copy" : "verifying a copy",
           {{"copy", run_.name}, {"run", run_.run}, {"mode", replaces ? run_.purpose : run_.mode}});
  try {
    if (!replaces)
      while (!find_copy()) wait(look_wait, "the copy is not live");
    if (run_.mode != "index" && (run_.method == "twin" || !prove_in_one_pass())) prove_by_twin();
    if (run_.repairs && differing_ > 0) repair();
    replaces ? swap() : compare_documents();
    end_twin(run_.purpose == "alter");
    end("done", {});
  } catch (const Ended& ended) {
    give_up(ended.state, ended.what());
  } catch (const PgError& error) {
    // What the server refuses now it refuses at the next attempt, too, and others wait for their turn.
    const Verdict what = verdict(error);
    if (what == Verdict::fenced || may_pass(what) || !session_.connection().usable()) throw;
    give_up("failed", in_words(error));
  }
  close_log();
}

void Verification::give_up(const std::string& state, const std::string& reason) {
  session_.rollback();
  end_twin(false);
  end(state, reason);
}

void Verification::end(const std::string& state, const std::string& reason) {
  session_.connection().exec("SELECT anabranch.end_verification($1::bigint, $2, $3)",
                             Parameters().integer(run_.run).text(state).optional_text(
                                 reason.empty() ? std::nullopt : std::optional<std::string>(reason)));
  if (state == "done" && differing_ > 0) {
    log_warning(run_.mode == "index" ? "an index differs from its copy" : "a copy differs from its definition",
                {{"copy", run_.name}, {"run", run_.run}, {"differing", differing_}, {"compared", compared_}});
  } else {
    log_info("a verification has ended",
             {{"copy", run_.name}, {"run", run_.run}, {"state", state}, {"reason", reason}, {"compared", compared_}});
  }
}

// Says what is waited for, and hears whether to go on.
void Verification::note(const std::string& waiting, const std::string& method) {
  const auto optional = [](const std::string& text) {
    return text.empty() ? std::nullopt : std::optional<std::string>(text);
  };
  const Result result = session_.connection().exec(
      "SELECT anabranch.note_verification($1::bigint, $2, $3)",
      Parameters().integer(run_.run).optional_text(optional(waiting)).optional_text(optional(method)));
  if (!result.boolean(0, 0)) throw Ended("cancelled", "it was cancelled");
}

void Verification::wait(milliseconds time, const std::string& why) {
  note(why);
  if (context_.stop.wait(time)) throw Interrupted();
}

bool Verification::find_copy() {
  for (CopyRow& row : session_.copies()) {
    if (row.oid != run_.copy) continue;
    copy_ = std::move(row);
    if (copy_.state == "live") return true;
    if (copy_.state == "failed" || copy_.state == "stale" || copy_.state == "paused" || copy_.state == "unbound")
      throw Ended("failed", fmt::format("the copy is {}, and no longer kept in step", copy_.state));
    return false;
  }
  throw Ended("failed", "the copy was dropped");
}

// Near enough to its sources, and nothing speaks against reading these now.
bool Verification::is_level() {
  const Result lag = session_.connection().exec(
      "SELECT pg_current_wal_insert_lsn() - s.lsn FROM anabranch.source AS s WHERE s.name = 'home'", Parameters());
  if (lag.rows() == 1 && lag.integer(0, 0) > lag_bytes_max) {
    wait(look_wait, "the copies are too far behind");
    return false;
  }
  if (context_.settings.verify_pause_when.empty()) return true;
  const Result paused = session_.connection().exec(context_.settings.verify_pause_when);
  if (paused.rows() == 0 || paused.null(0, 0) || paused.text(0, 0) != "t") return true;
  wait(look_wait, "verify.pause_when holds");
  return false;
}

// --- The log beside the applier -------------------------------------------------------------------------------------

// Where copies are fed from topics the main slot is the publisher's, and may be past them.
void Verification::open_log() {
  WantedColumns wanted;
  for (const CopySource& source : copy_.sources) wanted[source.relation] = source.columns;
  if (context_.settings.kafka) {
    log_ = std::make_unique<KafkaLog>(kafka_log_options(context_.settings, session_));
    log_->want(std::move(wanted));
    return;
  }
  drop_fill_slot(session_.connection(), slot_, &context_.stop);
  make_fill_slot(session_.connection(), context_.settings.slot, slot_);
  failpoint("verify_slot_made");
  ConnectOptions connect = home_options(context_.settings);
  connect.application_name = "anabranch verifier";
  connect.stop = &context_.stop;
  SlotLogOptions options = slot_log_options(context_.settings, std::move(connect));
  options.slot = slot_;
  log_ = std::make_unique<SlotLog>(std::move(options));
  log_->want(std::move(wanted));
}

void Verification::close_log() {
  if (!log_) return;
  log_->stop();
  log_.reset();
  drop_fill_slot(session_.connection(), slot_, &context_.stop);
}

// Reads whole transactions up to a position. `snapshot`: those that it shows count as unseen by the copy, too.
void Verification::read_until(Lsn position, Clock::time_point deadline, const Snapshot* snapshot) {
  while (inside_ || log_->read_position() < position) {
    if (context_.stop.requested()) throw Interrupted();
    if (Clock::now() >= deadline) throw std::range_error("the log was not read in time");
    const std::optional<TransactionPiece> piece = log_->next(10ms);
    if (!piece) continue;
    inside_ = !piece->last();
    if (snapshot != nullptr && snapshot->visible(piece->xid)) unseen_.add(*piece);
    since_.add(*piece);
    if (unseen_.bytes() + since_.bytes() > changes_bytes_max)
      throw std::range_error("more was changed than can be taken into account");
  }
}

std::string Verification::net_changes(Consolidator& consolidator) const {
  const Consolidated net = consolidator.take();
  std::string changes;
  for (const CopyDelta& copy : net.copies) {
    if (copy.problem) throw std::range_error(copy.problem->reason);
    for (const std::string& delta : copy.deltas) changes += delta;  // messages one behind the other are one message
  }
  return changes;
}

// --- Proving --------------------------------------------------------------------------------------------------------

// False when the sources cannot be read in what is left of the time that a snapshot may be held, or in half of it.
bool Verification::prove_in_one_pass() {
  note({}, "pass");
  Connection& connection = session_.connection();
  const milliseconds snapshot_max = context_.settings.verify_snapshot_max;
  for (;;) {
    if (!is_level()) continue;
    if (!find_copy()) {
      wait(look_wait, "the copy is not live");
      continue;
    }
    open_log();
    try {
      const Clock::time_point deadline = Clock::now() + snapshot_max;
      connection.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
      const Result begun =
          connection.exec("SELECT snapshot::text, lsn, inserted FROM anabranch.begin_proof($1::bigint)",
                          Parameters().integer(run_.run));
      const Proof proof{Snapshot::parse(begun.text(0, 0)), begun.lsn(0, 1), begun.lsn(0, 2)};
      failpoint("verify_begun");
      log_->start(proof.lsn);
      read_changes(proof);
      const std::string changes = net_changes(unseen_);
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
      connection.exec(fmt::format("SET LOCAL statement_timeout = {}", std::max(left, snapshot_max / 2).count()));
      const Result proved = connection.exec(
          "SELECT compared, differing FROM anabranch.record_proof($1::bigint, $2::bytea, NULL, $3::int, $4::bigint)",
          Parameters()
              .integer(run_.run)
              .binary(changes)
              .integer(run_.mode == "sketch" ? buckets : 0)
              .integer(differences_max));
      connection.exec("COMMIT");
      failpoint("verify_proved");
      compared_ = proved.integer(0, 0);
      differing_ = proved.integer(0, 1);
      return true;
    } catch (const std::range_error& error) {
      session_.rollback();
      close_log();
      wait(look_wait, error.what());
    } catch (const PgError& error) {
      if (!connection.usable()) throw;
      session_.rollback();
      close_log();
      if (error.sqlstate() == query_canceled) return false;
      if (error.sqlstate() == serialization_failure || error.sqlstate() == wrong_state) {
        wait(retry_wait, error.message());
        continue;
      }
      if (may_pass(verdict(error)) || verdict(error) == Verdict::fenced) throw;
      throw Ended("failed", in_words(error));
    }
  }
}

void Verification::read_changes(const Proof& proof) {
  unseen_ = Consolidator();
  since_ = Consolidator();
  inside_ = false;
  unseen_.plan({copy_.plan(proof.lsn)});
  since_.plan({copy_.plan(proof.lsn)});
  const milliseconds time_max = std::min(read_time_max, context_.settings.verify_snapshot_max / 2);
  read_until(proof.inserted, Clock::now() + time_max, &proof.snapshot);
}

// --- By a twin ------------------------------------------------------------------------------------------------------

TwinState Verification::twin_state() {
  const Result found = session_.connection().exec(
      "SELECT state, reason, lsn, copy_lives, swap, swapped FROM anabranch.twin_state($1::bigint)",
      Parameters().integer(run_.run));
  return {found.optional_text(0, 0).value_or(""),
          found.optional_text(0, 1).value_or(""),
          found.optional_lsn(0, 2),
          found.boolean(0, 3),
          found.boolean(0, 4),
          found.boolean(0, 5)};
}

// The workers fill it, and the applier takes it up, like any copy.
void Verification::prove_by_twin() {
  Connection& connection = session_.connection();
  note({}, "twin");
  connection.exec("SELECT anabranch.begin_twin($1::bigint)", Parameters().integer(run_.run));
  failpoint("verify_twin_made");
  for (;;) {
    const TwinState twin = twin_state();
    if (twin.swapped) return;
    if (twin.state.empty()) throw Ended("failed", "what was made beside the copy was dropped");
    if (twin.state == "failed" || twin.state == "stale")
      throw Ended("failed", fmt::format("what was made beside the copy is {}: {}", twin.state, twin.reason));
    if (!twin.copy_lives && run_.purpose == "verify") throw Ended("failed", "the copy is no longer kept in step");
    if (!twin.copy_lives && twin.state == "live") return;  // nothing to compare it with
    if (!twin.lsn) {
      wait(look_wait, fmt::format("what was made beside the copy is {}", twin.state));
      continue;
    }
    if (run_.repairs) {
      find_copy();
      open_log();
    }
    try {
      connection.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
      const Result proved =
          connection.exec("SELECT lsn, compared, differing FROM anabranch.record_twin_proof($1::bigint, $2::bigint)",
                          Parameters().integer(run_.run).integer(differences_max));
      connection.exec("COMMIT");
      failpoint("verify_twin_proved");
      compared_ = proved.integer(0, 1);
      differing_ = proved.integer(0, 2);
      if (!run_.repairs) return;
      const Lsn position = proved.lsn(0, 0);
      log_->start(position);
      since_ = Consolidator();
      since_.plan({copy_.plan(position)});
      inside_ = false;
      return;
    } catch (const PgError& error) {
      if (!connection.usable()) throw;
      session_.rollback();
      close_log();
      if (!may_pass(verdict(error))) throw Ended("failed", in_words(error));
      wait(retry_wait, error.message());
    }
  }
}

// Asks the applier, which has to do it between two batches. Not asked for yet: the twin stays beside the copy.
void Verification::swap() {
  if (!twin_state().swap) return;
  session_.connection().exec("SELECT anabranch.request_swap($1::bigint)", Parameters().integer(run_.run));
  failpoint("verify_swap_requested");
  for (;;) {
    const TwinState twin = twin_state();
    if (twin.swapped) return;
    if (twin.state.empty()) throw Ended("failed", "what was made beside the copy was dropped");
    wait(swap_wait, "the copy is read without a pause");
  }
}

void Verification::end_twin(bool keep) {
  try {
    session_.connection().exec("SELECT anabranch.end_twin($1::bigint, $2::boolean)",
                               Parameters().integer(run_.run).text(keep ? "true" : "false"));
  } catch (const PgError& error) {
    if (!session_.connection().usable() || may_pass(verdict(error))) throw;
    log_warning("what was made beside a copy stays",
                {{"copy", run_.name}, {"run", run_.run}, {"error", error.message()}});
  }
}

// --- An index outside the database
// ------------------------------------------------------------------------------------

// What it should hold is the copy, which has been proved by now.
void Verification::compare_documents() {
  const auto go_on = [&](const std::string& waiting) { note(waiting); };
  for (;;) {
    try {
      const IndexComparison result = compare_index_of(context_, session_.connection(), run_, go_on, differences_max);
      compared_ += result.compared;
      differing_ += result.differing;
      return;
    } catch (const IndexError& error) {
      if (error.kind() == IndexError::Kind::refused)
        throw Ended("failed", fmt::format("{}; {}", error.what(), error.remedy()));
      wait(look_wait, error.what());
    }
  }
}

// --- Repairing ------------------------------------------------------------------------------------------------------

void Verification::repair() {
  if (differing_ > differences_max)
    throw Ended("failed",
                fmt::format("{} of {} keys differ, too many to be repaired one by one: fill the copy anew beside "
                            "the old one, SELECT anabranch.rebuild('{}')",
                            differing_, compared_, run_.name));
  for (int attempt = 1; attempt <= corrections_attempts_max; ++attempt) {
    if (correct()) return;
    wait(retry_wait, "the copy is written without a pause");
  }
  throw Ended("failed", "no moment was found to repair in; verify and repair again when less is written");
}

// False: not now.
bool Verification::correct() {
  Connection& connection = session_.connection();
  try {
    // What can be read before batches are kept out is not read while they wait.
    const Result here = connection.exec("SELECT lsn FROM anabranch.source WHERE name = 'home'", Parameters());
    read_until(here.lsn(0, 0), Clock::now() + read_time_max, nullptr);
    session_.begin();
    const Result locked =
        connection.exec("SELECT anabranch.begin_correction($1::bigint, $2, $3::bigint)",
                        Parameters().integer(run_.run).text(context_.token.source).integer(context_.token.token));
    const Lsn position = locked.lsn(0, 0);
    read_until(position, Clock::now() + locked_time_max, nullptr);
    Consolidator since = std::move(since_);
    since_ = Consolidator();
    since_.plan({copy_.plan(position)});
    const Result done = connection.exec(
        "SELECT repaired, overwritten FROM anabranch.record_correction($1::bigint, $2::pg_lsn, $3::bytea)",
        Parameters().integer(run_.run).lsn(position).binary(net_changes(since)));
    failpoint("verify_correction_before_commit");
    session_.commit();
    failpoint("verify_corrected");
    log_info("a copy was repaired", {{"copy", run_.name},
                                     {"run", run_.run},
                                     {"lsn", position},
                                     {"repaired", done.integer(0, 0)},
                                     {"overwritten", done.integer(0, 1)}});
    return true;
  } catch (const std::range_error& error) {
    session_.rollback();
    log_debug("not repaired yet", {{"copy", run_.name}, {"reason", error.what()}});
    return false;
  } catch (const PgError& error) {
    if (!connection.usable() || verdict(error) == Verdict::fenced) throw;
    session_.rollback();
    if (error.sqlstate() == wrong_state || error.sqlstate() == serialization_failure)
      throw Ended("failed", in_words(error) + " (nothing was repaired)");
    if (may_pass(verdict(error))) return false;
    throw Ended("failed", in_words(error));
  }
}

}  // namespace

std::string verify_slot_name(const std::string& slot) {
  return fill_slot_name(slot, verifier_number);
}

void verify_copy(const VerifyContext& context, Session& session, const VerificationRun& run) {
  Verification(context, session, run).carry_out();
}

}  // namespace anabranch
