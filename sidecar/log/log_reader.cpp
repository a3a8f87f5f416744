#include "sidecar/log/log_reader.hpp"

#include <exception>
#include <utility>

#include "sidecar/thread.hpp"

namespace anabranch {

Stop& LogReader::prepare(Lsn from) {
  end();
  queue.open(from);
  ending_ = std::make_unique<Stop>();
  return *ending_;
}

void LogReader::begin(const char* name, std::function<void()> read) {
  thread_ = start_thread(name, [this, read = std::move(read)] {
    try {
      read();
    } catch (...) {
      queue.fail(std::current_exception());
    }
  });
}

void LogReader::end() noexcept {
  if (!thread_.joinable()) return;
  ending_->request();
  queue.close();
  thread_.join();
}

void LogReader::want(WantedColumns columns) {
  auto shared = std::make_shared<const WantedColumns>(std::move(columns));
  const std::lock_guard lock(wanted_mutex_);
  wanted_.swap(shared);
}

std::shared_ptr<const WantedColumns> LogReader::wanted() const {
  const std::lock_guard lock(wanted_mutex_);
  return wanted_;
}

}  // namespace anabranch
