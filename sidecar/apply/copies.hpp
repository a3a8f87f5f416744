// The copies of one source, as their main applier sees them: which are live and which are elsewhere, how far each is,
// and what the slot has to keep for them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sidecar/apply/confirm.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/copy/workers.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// The columns that the copies' definitions name, for ChangeLog::want().
WantedColumns wanted_columns(const std::vector<CopyRow>& copies);

// A copy is live from the start, or from join() on, until it is set aside. One that is not, and is not given up, is
// held: the slot keeps what comes after its position, up to wal_keep_limit, until a worker with a slot of its own has
// it.
//
// Used by one thread. What is recorded of a copy is recorded in a transaction of its own, under the fencing token; all
// functions that do throw PgError.
class Copies {
 public:
  using Clock = std::chrono::steady_clock;

  // `position` is P of the live copies, `confirmed` the slot's C. All references must outlive the object.
  Copies(const RunSettings& settings, Session& session, ChangeLog& log, const SourceToken& token, Workers& workers,
         Lsn position, Lsn confirmed);

  // P of the live copies, which some may be ahead of.
  Lsn position() const { return position_; }
  // The live copies.
  std::vector<CopyPlan> plans() const;
  std::optional<CopyPlan> plan(uint32_t copy) const;
  std::string name(uint32_t copy) const;

  // P has been recorded, by a commit that `wal` was read after.
  void recorded(Lsn position, const WalStatus& wal);
  // Up to where nobody needs the log any more: recorded and flushed.
  Lsn confirmable() { return ack_.confirmable(); }

  // Compares what is asked of the copies with what is done with them, and does it. `wal_inserted`: where the WAL ends.
  void refresh(Clock::time_point now, Lsn wal_inserted);
  // Whether a second has gone by since, or something has happened that refresh() should see.
  bool refresh_due(Clock::time_point now) const;
  void refresh_soon() { refreshed_ = {}; }
  // wal_keep_limit may have been raised: copies that were let go get another chance.
  void forgive() { let_go_.clear(); }

  // Reads whether the copy is live still: it may have been dropped or changed meanwhile.
  bool still_live(uint32_t copy);
  // The copy has everything up to there, whatever P is.
  void move_ahead(uint32_t copy, Lsn position) { live_[copy].position = position; }
  // The batch that moved P has set it aside.
  void was_set_aside(const SetAside& aside);
  // Sets it aside here and now, at its position.
  void set_aside(uint32_t copy, const std::string& state, std::optional<std::string> sqlstate,
                 std::optional<std::string> reason);
  // Until its worker has a slot of its own it needs ours from there on.
  void hold(uint32_t copy, Lsn position) { ack_.hold(copy, position); }
  // A source of these copies was changed under them: those that only wait are told right away.
  void sources_changed(const std::vector<uint32_t>& copies, const std::string& reason);

  // A worker offers a copy that is level: from here on it is live.
  JoinDesk::Answer join(const JoinDesk::Request& request);

 private:
  struct Live {
    CopyRow row;
    Lsn position;  // the copy has everything up to the later of this and position_
  };

  Lsn position_of(const Live& live) const { return std::max(live.position, position_); }
  void forget(uint32_t copy);
  void swap_twins();
  void refresh(const CopyRow& row);
  void refresh_live(const CopyRow& row);
  void hold(const CopyRow& row);
  void let_go(Lsn wal_inserted);
  void let_go_fill_slots(const std::vector<CopyRow>& rows);

  const RunSettings& settings_;
  Session& session_;
  ChangeLog& log_;
  const SourceToken& token_;
  Workers& workers_;
  Lsn position_;
  AckSet ack_;
  std::map<uint32_t, Live> live_;
  std::map<uint32_t, std::string> known_;  // every copy's name
  std::set<uint32_t> let_go_;              // whose WAL is not kept any more
  std::set<uint32_t> overdue_;             // whose own slot keeps more WAL than allowed
  bool loaded_ = false;                    // the copies that are live at the start have been found
  Clock::time_point refreshed_{};
  std::chrono::milliseconds join_lock_wait_;
};

}  // namespace anabranch
