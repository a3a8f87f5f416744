// Keeps the live copies of one source in step with its log.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sidecar/apply/batch.hpp"
#include "sidecar/apply/confirm.hpp"
#include "sidecar/apply/failure.hpp"
#include "sidecar/apply/heartbeat.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/copy/workers.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// The pieces of the batch that has to be repeated are gone: start the log again at the recorded position.
struct LogRestart : std::exception {
  const char* what() const noexcept override { return "the log has to be read again from the recorded position"; }
};

// Numbers for the log and for tests; of the last second or two.
struct ApplierMetrics {
  double rows_per_second = 0;
  std::size_t batch_rows = 0;
  std::chrono::microseconds batch_interval{0};
  double cost_ratio = 1;
  uint64_t lag_bytes = 0;
};

// One thread calls run(). Lives as long as one session with the server.
class Applier {
 public:
  // `position` is P of the live copies as start_sidecar() told it, `confirmed` the slot's C. The log has been started
  // at `position`. All references must outlive the object.
  Applier(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload, const Heartbeat& heartbeat,
          Session& session, ChangeLog& log, const SourceToken& token, Lsn position, Lsn confirmed);

  // Applies until `stop` is requested. Throws PgError and LogError for a session or log to be renewed, LogRestart, and
  // RunError when fenced.
  void run();

  Lsn position() const { return position_; }
  ApplierMetrics metrics() const;

 private:
  using Clock = std::chrono::steady_clock;

  // A batch of the live copies: the source's position moves.
  class Scope : public BatchScope {
   public:
    Scope(const SourceToken& token, JoinDesk& desk) : token_(token), desk_(desk) {}
    void open(Session& session) override;
    void send_close(Session& session, const BatchEnd& end) override;

   private:
    const SourceToken& token_;
    JoinDesk& desk_;
  };

  struct Live {
    CopyRow row;
    Lsn position;  // the copy has everything up to the later of this and position_
  };

  void apply();
  void applied();
  void wait_until_visible();
  void decide(const CopyFailure& failure);
  void leave_out(uint32_t copy, SetAside aside);
  void report(const SetAside& aside) const;

  void housekeeping();
  void reload();
  void refresh();
  void refresh(const CopyRow& row);
  void hold(const CopyRow& row);
  void let_go();
  void let_go_fill_slots(const std::vector<CopyRow>& rows);
  void set_aside(uint32_t copy, const std::string& state, std::optional<std::string> sqlstate,
                 std::optional<std::string> reason);
  void join(const JoinDesk::Request& request);
  void record_idle();
  void confirm();
  std::vector<CopyPlan> plans() const;
  Lsn position_of(const Live& live) const { return std::max(live.position, position_); }

  RunSettings settings_;
  const Stop& stop_;
  const ReloadSettings& reload_;
  const Heartbeat& heartbeat_;
  Session& session_;
  ChangeLog& log_;
  const SourceToken& token_;
  Lsn position_;
  AckSet ack_;
  JoinDesk desk_;
  Scope scope_;
  Batches batches_;
  std::map<uint32_t, Live> live_;
  std::map<uint32_t, Lsn> held_;           // copies on the slot without being live
  std::set<uint32_t> let_go_;              // copies whose WAL is not kept any more
  std::map<uint32_t, std::string> known_;  // every copy's name
  std::map<uint32_t, int> failures_;       // in a row, of the batch under way
  std::set<uint32_t> overdue_;             // copies whose own slot keeps more WAL than allowed
  bool loaded_ = false;
  Clock::time_point refreshed_{}, hidden_since_{}, hidden_told_{}, measured_{}, looked_{}, idle_recorded_{};
  uint64_t rows_measured_ = 0;
  double rows_per_second_ = 0;
  std::chrono::milliseconds join_lock_wait_;
  Workers workers_;  // last: its threads use what is above
};

}  // namespace anabranch
