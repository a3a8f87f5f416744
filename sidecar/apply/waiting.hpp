// What a run waits for, for whoever asks how it does.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

namespace anabranch {

// One thing that a run may wait for. It is worth telling when it has lasted for `patience`. begin() and end() are
// called by the thread that waits, text() by any.
class Waiting {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Waiting(Clock::duration patience) : patience_(patience) {}

  // Waits for `what`; goes on with the time that it has waited already.
  void begin(std::string what, Clock::time_point now = Clock::now()) {
    const std::lock_guard lock(mutex_);
    if (what_.empty()) since_ = now;
    what_ = std::move(what);
  }
  void end() {
    const std::lock_guard lock(mutex_);
    what_.clear();
  }
  // "WHAT, for 12 s"; nullopt where there is nothing to tell.
  std::optional<std::string> text(Clock::time_point now = Clock::now()) const {
    const std::lock_guard lock(mutex_);
    if (what_.empty() || now - since_ < patience_) return std::nullopt;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - since_).count();
    return what_ + ", for " + std::to_string(seconds) + " s";
  }

 private:
  const Clock::duration patience_;
  mutable std::mutex mutex_;
  std::string what_;  // empty: does not wait
  Clock::time_point since_;
};

// What the applier waits for.
struct ApplierWaiting {
  Waiting hidden{std::chrono::seconds(1)};
  Waiting batch{std::chrono::seconds(10)};

  std::optional<std::string> text() const {
    std::optional<std::string> hidden_text = hidden.text();
    return hidden_text ? hidden_text : batch.text();
  }
};

}  // namespace anabranch
