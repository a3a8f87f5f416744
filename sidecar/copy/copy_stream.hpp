// The stream of changes for one copy that is not with the others: from its own slot, or from Kafka, in batches that
// move its position and nobody else's, and what becomes of the copy when one of them fails.
//
// While the copy is filled, changes count by the chunk that their row lies in (anabranch.apply_filling); from the level
// on, the position that every transaction visible to a chunk ends before, they count as they come.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "sidecar/apply/batch.hpp"
#include "sidecar/apply/confirm.hpp"
#include "sidecar/copy/worker_context.hpp"
#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Of one thread. Unless said otherwise everything throws PgError and LogError when something fails that is not the
// copy's fault, and Interrupted when the worker is stopped; the copy then is at the position recorded.
class CopyStream {
 public:
  // All must outlive the object. `copy` is at position() once move_to() has been called.
  CopyStream(const WorkerContext& context, Session& session, const CopyRow& copy, const std::string& slot);

  // The position recorded for the copy, as the caller has found or set it.
  void move_to(Lsn position) { scope_.position = position; }
  Lsn position() const { return *scope_.position; }
  // From now on, until the level is known and reached, changes count by chunk.
  void count_by_chunk() { filling_ = true; }
  void set_level(Lsn level) { level_ = level; }
  Lsn level() const { return level_; }

  // Begins to read the slot's log at the position, or that of the topics: then LogError(gap) may come from everything
  // below, where they do not go back to it.
  void start(bool from_topics = false);
  // Ends what was begun after an exception, so that the session can be used again.
  void abandon();
  void stop() { log_->stop(); }

  // Begins a transaction of the copy. Throws std::runtime_error when somebody else has moved it: another sidecar, or a
  // worker that was thought dead.
  void open() { scope_.open(session_); }

  // Applies what the log has for about `time`, and no longer once it has nothing more or the next transaction is not
  // visible yet.
  void run_for(std::chrono::milliseconds time);
  // One turn of going on: a batch, or a short wait. Where nothing comes in the position moves with the server's WAL,
  // at once up to `wanted` and now and then beyond.
  void turn(Lsn wanted);

  // The copy was set aside: there is nothing more to do for it.
  bool over() const { return over_; }
  // Sets it aside, in a transaction of its own.
  void set_aside(const SetAside& aside);

 private:
  using Clock = std::chrono::steady_clock;

  struct Scope : BatchScope {
    Scope(const CopyRow& of, const SourceToken& by) : copy(of), token(by) {}
    void open(Session& session) override;
    void send_close(Session& session, const BatchEnd& end) override;

    const CopyRow& copy;
    const SourceToken& token;
    std::optional<Lsn> position;
  };

  CopyPlan plan() const;
  bool step();
  bool decide(const CopyFailure& failure);
  void record_idle(Lsn wanted);
  void confirm();

  const WorkerContext& context_;
  Session& session_;
  const CopyRow& copy_;
  const std::string& slot_;
  Scope scope_;
  std::optional<AckSet> ack_;
  std::unique_ptr<ChangeLog> log_;
  std::optional<Batches> batches_;
  bool filling_ = false;
  bool over_ = false;
  Lsn level_;
  Clock::time_point recorded_ = Clock::now();
};

}  // namespace anabranch
