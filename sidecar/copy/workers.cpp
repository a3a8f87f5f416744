#include "sidecar/copy/workers.hpp"

#include <algorithm>
#include <thread>

#include "sidecar/apply/failure.hpp"
#include "sidecar/backoff.hpp"
#include "sidecar/copy/create.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

constexpr std::chrono::milliseconds retry_delay_min{100};
constexpr std::chrono::milliseconds retry_delay_max{5'000};

bool copy_is_gone(const PgError& error) {
  return error.sqlstate() == "AN002" || error.sqlstate() == "42704";
}

}  // namespace

struct Workers::Worker {
  CopyRow copy;
  int number = 0;
  Stop stop;
  std::atomic<bool> done{false};
  std::thread thread;
};

Workers::Workers(const RunSettings& settings, const SourceToken& token, JoinDesk& desk)
    : settings_(settings), token_(token), desk_(desk), workers_max_(settings.fill_workers_max) {}

Workers::~Workers() {
  for (const auto& worker : workers_) worker->stop.request();
  for (const auto& worker : workers_) worker->thread.join();
}

bool Workers::has(uint32_t copy) const {
  return std::any_of(queue_.begin(), queue_.end(), [&](const CopyRow& row) { return row.oid == copy; }) ||
         std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) { return worker->copy.oid == copy; });
}

int Workers::free_number() const {
  for (int number = 1; number <= workers_max_; ++number) {
    if (std::none_of(workers_.begin(), workers_.end(), [&](const auto& worker) { return worker->number == number; }))
      return number;
  }
  return 0;
}

void Workers::start(const CopyRow& copy) {
  if (has(copy.oid)) return;
  if (const int number = free_number(); number != 0) {
    begin(copy, number);
  } else {
    queue_.push_back(copy);
  }
}

void Workers::begin(CopyRow copy, int number) {
  auto worker = std::make_unique<Worker>();
  worker->copy = std::move(copy);
  worker->number = number;
  Worker& started = *worker;
  workers_.push_back(std::move(worker));
  started.thread = start_thread("fill-worker", [this, &started] { work(started); });
}

// The body of a worker's thread. Nothing may leave it but by being logged: the main applier does not wait for it.
void Workers::work(Worker& worker) {
  Backoff backoff(retry_delay_min, retry_delay_max);
  const WorkerContext context{settings_, token_, desk_, worker.stop,
                              settings_.slot + "_fill_" + std::to_string(worker.number)};
  const auto interrupted = [&](const std::string& why) {
    const std::chrono::milliseconds delay = backoff.next();
    log_warning("work on a copy was interrupted", {{"copy", worker.copy.name}, {"error", why}, {"retry_ms", delay}});
    worker.stop.wait(delay);
  };
  while (!worker.stop.requested()) {
    try {
      create_copy(context, worker.copy);
      break;
    } catch (const Interrupted&) {
      break;
    } catch (const PgError& error) {
      if (verdict(error) == Verdict::fenced) {
        fenced_ = true;
        break;
      }
      if (copy_is_gone(error)) break;
      interrupted(error.message() + " (SQLSTATE " + error.sqlstate() + ")");
    } catch (const std::exception& error) {
      interrupted(error.what());
    }
  }
  worker.done = true;
}

void Workers::cancel(uint32_t copy) {
  std::erase_if(queue_, [&](const CopyRow& row) { return row.oid == copy; });
  for (const auto& worker : workers_) {
    if (worker->copy.oid == copy) worker->stop.request();
  }
}

std::vector<uint32_t> Workers::finished() {
  std::vector<uint32_t> copies;
  std::erase_if(workers_, [&](const auto& worker) {
    if (!worker->done) return false;
    worker->thread.join();
    copies.push_back(worker->copy.oid);
    return true;
  });
  while (!queue_.empty()) {
    const int number = free_number();
    if (number == 0) break;
    CopyRow copy = std::move(queue_.front());
    queue_.pop_front();
    begin(std::move(copy), number);
  }
  return copies;
}

}  // namespace anabranch
