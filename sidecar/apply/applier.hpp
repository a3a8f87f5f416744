// Keeps the live copies of one source in step with its log.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "sidecar/apply/batch.hpp"
#include "sidecar/apply/copies.hpp"
#include "sidecar/apply/heartbeat.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/copy/verifier.hpp"
#include "sidecar/copy/workers.hpp"
#include "sidecar/index/deliveries.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// The batches, and what becomes of them when they fail; which copies there are is copies.hpp's. One thread calls run().
// Lives as long as one session with the server.
class Applier {
 public:
  // `position` is P of the live copies as start_sidecar() told it, `confirmed` the slot's C. The log has been started
  // at `position`. All references must outlive the object.
  Applier(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload, const Heartbeat& heartbeat,
          Session& session, ChangeLog& log, const SourceToken& token, Lsn position, Lsn confirmed);

  // Applies until `stop` is requested. Throws PgError and LogError for a session or log to be renewed, LogRestart, and
  // RunError when fenced.
  void run();

  Lsn position() const { return copies_.position(); }

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

  void apply();
  void applied();
  void wait_until_visible();
  void decide(const CopyFailure& failure);
  void leave_out(SetAside aside);
  void report_pace(Clock::time_point now);

  void housekeeping();
  void reload();
  void record_idle();

  RunSettings settings_;
  const Stop& stop_;
  const ReloadSettings& reload_;
  const Heartbeat& heartbeat_;
  Session& session_;
  ChangeLog& log_;
  const SourceToken& token_;
  JoinDesk desk_;
  Scope scope_;
  Batches batches_;
  Workers workers_;  // its threads use the desk
  Verifier verifier_;
  Deliveries deliveries_;
  Copies copies_;
  std::map<uint32_t, int> failures_;  // in a row, of the batch under way
  Clock::time_point hidden_since_{}, hidden_told_{}, measured_{}, looked_{}, idle_recorded_{};
  uint64_t rows_measured_ = 0;
};

}  // namespace anabranch
