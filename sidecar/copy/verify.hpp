// Compares a copy with its definition while both change, and puts right what differs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sidecar/apply/session.hpp"
#include "sidecar/run.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// A row of anabranch.verification, as anabranch.next_verification() hands it out.
struct VerificationRun {
  int64_t run = 0;
  uint32_t copy = 0;
  std::string name;  // of the copy, qualified and quoted
  std::string mode;  // full, sketch, keys
  bool repairs = false;
  double duty = 1;
  std::string method;   // pass or twin, where it had been begun; else empty
  std::string purpose;  // verify; or rebuild, alter: the twin is to take the copy's place
};

// References must outlive the work.
struct VerifyContext {
  const RunSettings& settings;
  const SourceToken& token;
  const Stop& stop;
};

// The slot through which verifications read the log, and the origin under which they write: called like those of fills.
std::string verify_slot_name(const std::string& slot);

// Carries a run out and records what came of it: it is done, failed or cancelled then. Throws Interrupted when stopped,
// PgError and LogError when something fails that is not the copy's fault: call it again after a pause.
void verify_copy(const VerifyContext& context, Session& session, const VerificationRun& run);

}  // namespace anabranch
