#include "sidecar/apply/isolate.hpp"

#include <algorithm>

#include "sidecar/apply/failure.hpp"
#include "sidecar/failpoint.hpp"

namespace anabranch {
namespace {

// A transaction within the batch: [first, last) of its pieces.
struct Whole {
  std::size_t first = 0, last = 0;
  Lsn end;
};

std::vector<Whole> whole_transactions(const std::vector<TransactionPiece>& pieces) {
  std::vector<Whole> wholes;
  std::size_t first = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].last()) continue;
    wholes.push_back(Whole{first, i + 1, *pieces[i].end_lsn});
    first = i + 1;
  }
  return wholes;
}

// Applies the pieces under a savepoint. nullopt: done; otherwise why not, and nothing of them has been applied.
std::optional<PgError> attempt(Session& session, const CopyPlan& plan, const std::vector<TransactionPiece>& pieces,
                               std::size_t first, std::size_t last) {
  Consolidator consolidator;
  consolidator.plan({plan});
  for (std::size_t i = first; i < last; ++i) consolidator.add(pieces[i]);
  const Consolidated work = consolidator.take();
  session.connection().exec("SAVEPOINT attempt");
  try {
    for (const CopyDelta& copy : work.copies) {
      if (copy.problem) throw PgError(copy.problem->sqlstate, copy.problem->reason);
      for (const std::string& delta : copy.deltas) session.apply(plan.copy, plan.with_xid, delta);
    }
    session.connection().exec("RELEASE SAVEPOINT attempt");
    return std::nullopt;
  } catch (const PgError& error) {
    if (error.connection_lost()) throw;
    session.connection().exec("ROLLBACK TO SAVEPOINT attempt");
    return error;
  }
}

}  // namespace

std::optional<SetAside> isolate(Session& session, BatchScope& scope, const CopyPlan& plan,
                                const std::vector<TransactionPiece>& pieces) {
  const std::vector<Whole> wholes = whole_transactions(pieces);
  if (wholes.empty()) return std::nullopt;
  std::optional<SetAside> aside;
  try {
    scope.open(session);
    if (session.connection().pending() > 0) session.connection().collect();
    // Everything before `low` is applied; once an attempt has failed, what fails lies in [low, high).
    std::size_t low = 0, high = wholes.size();
    std::optional<PgError> error;
    while (low < high) {
      // The whole range first: what failed may have been somebody else's lock. Then halves, down to one transaction.
      const std::size_t middle = error ? low + std::max<std::size_t>(1, (high - low) / 2) : high;
      std::optional<PgError> failed = attempt(session, plan, pieces, wholes[low].first, wholes[middle - 1].last);
      if (!failed) {
        low = middle;
        continue;
      }
      // What will pass by itself is for the caller to repeat.
      if (const Verdict kind = verdict(*failed); kind != Verdict::failed && kind != Verdict::stale)
        throw PgError(*failed);
      error = std::move(failed);
      if (middle - low == 1) break;
      high = middle;
    }
    const Lsn reached = std::max(plan.position, low > 0 ? wholes[low - 1].end : plan.position);
    if (low < wholes.size() && error) {
      // Should the last attempt have gone well where a larger one failed, the copy is set aside just the same: its
      // position says exactly what it holds.
      aside = SetAside{plan.copy,        verdict(*error) == Verdict::stale ? "stale" : "failed",
                       reached,          error->sqlstate(),
                       error->message(), wholes[low].end};
      session.set_aside(*aside);
    } else {
      session.set_copy_position(plan.copy, reached);
    }
    failpoint("isolate_before_commit");
    session.commit();
  } catch (const PgError&) {
    session.rollback();
    throw;
  }
  return aside;
}

}  // namespace anabranch
