// The threads that fill copies and bring them level.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// At most settings.fill_workers_max threads, one copy each; further copies wait in the order in which they were given.
// A worker whose server fails goes on after a pause, as often as needed. The destructor stops all of them and waits.
// Used by one thread.
class Workers {
 public:
  // `settings` and `token` are copied; `desk` must outlive the object.
  Workers(const RunSettings& settings, const SourceToken& token, JoinDesk& desk);
  ~Workers();

  // Takes the copy up, unless that has been done already.
  void start(const CopyRow& copy);
  // Ends the work on the copy, cancelling its current statement. Once it is among finished() it can be started again.
  void cancel(uint32_t copy);
  bool has(uint32_t copy) const;

  // Copies whose work is over, since the last call: their state has changed and should be read again. Takes up those
  // that have waited for a thread.
  std::vector<uint32_t> finished();
  // From the next copy on.
  void set_workers_max(int workers_max) { workers_max_ = workers_max; }
  // Whether a worker was told that another sidecar has taken over.
  bool fenced() const { return fenced_; }

 private:
  struct Worker;

  void begin(CopyRow copy, int number);
  void work(Worker& worker);
  int free_number() const;

  const RunSettings settings_;
  const SourceToken token_;
  JoinDesk& desk_;
  int workers_max_;
  std::deque<CopyRow> queue_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> fenced_{false};
};

}  // namespace anabranch
