// The part of a verification that is about an index outside the database.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sidecar/copy/verify.hpp"
#include "sidecar/index/comparison.hpp"

namespace anabranch {

// Compares the index of a run's copy with the copy, and records as it goes what it finds, at most `differences_max` in
// detail; nothing where the run is not to compare one. What an earlier call has recorded for the run is replaced.
// `note` as of ComparisonOptions. Throws what compare_index() does; IndexError (refused) also where there is no index
// any more, or no section for its engine.
IndexComparison compare_index_of(const VerifyContext& context, Connection& connection, const VerificationRun& run,
                                 const std::function<void(const std::string& waiting)>& note, int64_t differences_max);

}  // namespace anabranch
