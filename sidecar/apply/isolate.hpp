// Finds the transaction that a copy cannot apply.
#pragma once

#include <vector>

#include "sidecar/apply/batch.hpp"
#include "sidecar/apply/consolidate.hpp"
#include "sidecar/apply/session.hpp"

namespace anabranch {

// Applies the batch that failed for this copy alone, as far as it goes, and sets the copy aside at the first
// transaction that fails, all in one SQL transaction. The batch is halved: at most log2(n) + 1 attempts, together about
// twice the work of the batch. Returns what was set aside; nullopt when everything went well this time (the copy then
// is at the end of the batch, and stays).
//
// `pieces` are those of the batch, whole transactions. Throws PgError when something else goes wrong: then nothing has
// happened.
std::optional<SetAside> isolate(Session& session, BatchScope& scope, const CopyPlan& plan,
                                const std::vector<TransactionPiece>& pieces);

}  // namespace anabranch
