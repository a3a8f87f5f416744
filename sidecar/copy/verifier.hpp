// The thread that carries out verifications, one after the other.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "sidecar/copy/verify.hpp"

namespace anabranch {

// Begins with its construction; the destructor ends it and waits. A run that is cut off is taken up by the next one
// that looks. `settings` and `token` are copied.
class Verifier {
 public:
  Verifier(const RunSettings& settings, const SourceToken& token);
  ~Verifier();

  // Looks for work now; otherwise it looks about once a second.
  void look_soon();
  // Whether it was told that another sidecar has taken over.
  bool fenced() const { return fenced_; }

 private:
  void run();
  void work_once();
  void take_origin(Session& session);
  void rest(Session& session, const VerificationRun& run);

  const RunSettings settings_;
  const SourceToken token_;
  Stop stop_;
  std::chrono::steady_clock::time_point rested_at_{};  // by its thread alone
  std::atomic<bool> fenced_{false};
  std::atomic<bool> asked_{false};
  std::thread thread_;
};

}  // namespace anabranch
