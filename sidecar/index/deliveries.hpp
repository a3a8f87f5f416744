// The threads that keep the indexes outside the database in step.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "sidecar/apply/session.hpp"
#include "sidecar/index/turn.hpp"
#include "sidecar/run.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// One thread looks which indexes there are, about once a second and when asked to; each index has a thread and a
// session of its own, so that an engine that is slow or away holds up nobody else. Begins with its construction; the
// destructor ends all of them and waits. `settings` and `token` are copied. Any thread may call.
class Deliveries {
 public:
  Deliveries(const RunSettings& settings, const SourceToken& token);
  ~Deliveries();
  Deliveries(const Deliveries&) = delete;
  Deliveries& operator=(const Deliveries&) = delete;

  // The copies have come further.
  void applied();
  // The definitions have changed.
  void look_soon();
  // Whether it was told that another sidecar has taken over.
  bool fenced() const { return fenced_; }

 private:
  class Worker;

  void run();
  void look(Connection& connection);
  struct Dropped {
    IndexSettings settings;
    IndexDefinition definition;
  };
  std::vector<Dropped> dropped_indexes(Connection& connection) const;
  void begin_removal(std::vector<Dropped> dropped);
  void remove(const IndexSettings& settings, const IndexDefinition& definition);
  // Removes the pending keys that were delivered, behind those up to `trimmed_to`; returns up to where. What waits must
  // not grow without bound, whether anybody delivers it or not.
  int64_t trim(Connection& connection, const IndexCopy& copy, int64_t trimmed_to);
  void note_problem(Connection& connection, const IndexCopy& copy, const std::string& problem,
                    const std::string& remedy);

  const RunSettings settings_;
  const SourceToken token_;
  Stop stop_;
  std::atomic<bool> fenced_{false}, asked_{false};
  std::map<uint32_t, std::unique_ptr<Worker>> workers_;  // by copy; by the looking thread alone, as is the next
  std::set<std::string> noted_;                          // indexes that nobody delivers, as read
  std::set<std::string> not_removed_;                    // dropped ones whose engine would not, by owner; by removal_
  std::chrono::steady_clock::time_point trimmed_others_{};
  std::atomic<bool> removing_{false};  // removal_ is at work
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t applied_ = 0;  // guarded by mutex_
  std::thread removal_;
  std::thread thread_;
};

}  // namespace anabranch
