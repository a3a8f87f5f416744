// The inside of Connection: one libpq handle, and every wait on it. Included by connection*.cpp alone.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

#include "sidecar/pg/connection.hpp"

namespace anabranch {

// SQLSTATE "connection failure", where the server said nothing.
inline constexpr const char* sqlstate_lost = "08006";

// Milliseconds for poll(): -1 without a deadline, never negative with one.
int poll_timeout(std::optional<std::chrono::steady_clock::time_point> deadline);

struct Connection::Impl {
  using Clock = std::chrono::steady_clock;

  struct Deleter {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  std::unique_ptr<PGconn, Deleter> connection;
  const Stop* stop = nullptr;
  std::chrono::milliseconds response_timeout{0};
  std::set<std::string> prepared;
  size_t pending = 0;  // statements sent in the pipeline and not collected

  void connect(const ConnectOptions& options);
  void set_up(const ConnectOptions& options);

  // Waits for the socket; returns false when the deadline passed. Throws Interrupted without touching the session.
  bool wait(short events, std::optional<Clock::time_point> deadline, const Stop* interruption);
  void flush(const Stop* interruption);
  // The next result; nullptr at the end of a statement's results.
  std::unique_ptr<PGresult, void (*)(PGresult*)> next_result(const Stop* interruption,
                                                             std::optional<Clock::time_point> give_up = {});
  // Runs `body`; when it is interrupted the server is told, and the session made usable again or given up.
  template <typename Body>
  auto interruptible(Body body) {
    try {
      return body();
    } catch (const Interrupted&) {
      cancel_and_drain();
      throw;
    }
  }
  void cancel_and_drain() noexcept;

  Result last_result();
  // Reads the results of a pipeline and leaves it; the first failure goes to `failure`.
  void collect(std::vector<Result>& results, std::optional<PgError>& failure);
  void check_idle();
  void check_sent(int sent);
  void enter_pipeline();
  [[noreturn]] void throw_lost(std::string_view what);
  PgError error_of(const PGresult* result) const;
};

}  // namespace anabranch
