#include "sidecar/apply/heartbeat.hpp"

#include "sidecar/apply/failure.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto beat_interval = 1s;
constexpr auto look_interval = 100ms;
constexpr auto response_time_max = 10s;

}  // namespace

Heartbeat::Heartbeat(const ConnectOptions& options, const SourceToken& token, const Stop& stop, Stop& give_up,
                     std::chrono::milliseconds stop_time_max)
    : options_(options), token_(token), stop_(stop), give_up_(give_up), stop_time_max_(stop_time_max) {
  options_.application_name = "anabranch heartbeat";
  options_.response_timeout = response_time_max;
  options_.stop = &ending_;
  thread_ = start_thread("heartbeat", [this] { run(); });
}

Heartbeat::~Heartbeat() {
  ending_.request();
  thread_.join();
}

void Heartbeat::run() {
  std::optional<Connection> connection;
  auto beat_due = Clock::now();
  std::optional<Clock::time_point> stop_seen;
  while (!ending_.wait(look_interval)) {
    const auto now = Clock::now();
    if (stop_.requested() && !stop_seen) stop_seen = now;
    if (stop_seen && now >= *stop_seen + stop_time_max_) give_up_.request();
    if (now < beat_due) continue;
    beat_due = now + beat_interval;
    beat(connection);
  }
}

void Heartbeat::beat(std::optional<Connection>& connection) {
  try {
    if (!connection) connection.emplace(options_);
    connection->exec("SELECT anabranch.heartbeat($1::text, $2::bigint, $3::text)",
                     Parameters().text(token_.source).integer(token_.token).optional_text(waiting_.text()));
  } catch (const Interrupted&) {
  } catch (const PgError& error) {
    if (verdict(error) == Verdict::fenced) fenced_ = true;
    // The run itself finds out and says what is wrong with the server.
    log_debug("no sign of life could be given", {{"sqlstate", error.sqlstate()}, {"error", error.message()}});
    connection.reset();
  } catch (const std::exception& error) {
    log_debug("no sign of life could be given", {{"error", error.what()}});
    connection.reset();
  }
}

}  // namespace anabranch
