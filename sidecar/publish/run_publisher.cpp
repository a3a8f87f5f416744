#include "sidecar/publish/run_publisher.hpp"

#include <optional>
#include <string>

#include <fmt/format.h>

#include "sidecar/keep_session.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/real_parts.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds end_report_time_max = 2s;

void session(const RunSettings& settings, const Stop& stop, const std::string& run_id, Backoff& backoff) {
  RealParts real(settings, "anabranch publisher", stop);
  Publisher publisher(real.settings, real.parts(), run_id);
  real.access.while_waiting = [&] {
    if (stop.requested()) throw Interrupted();
    publisher.while_waiting();
  };
  std::optional<Lsn> began;
  try {
    while (!stop.requested()) {
      publisher.step();
      if (!began && publisher.streaming()) began = publisher.position();
      if (began && publisher.position() > *began) backoff.succeeded();
    }
  } catch (const Interrupted&) {
  } catch (const PublishStopped& stopped) {
    real.access.while_waiting = nullptr;
    publisher.finish(fmt::format("{}: {}", stopped.reason(), stopped.what()));
    throw;
  }
  // The end is told with a session that the stop does not end.
  real.source.connection().set_stop(nullptr);
  real.source.connection().set_response_timeout(end_report_time_max);
  real.access.while_waiting = nullptr;
  publisher.finish();
  log_info("publishing stopped", {{"lsn", publisher.position()}});
}

}  // namespace

void run_publisher(const RunSettings& settings, const Stop& stop) {
  const std::string run_id = random_run_id();
  try {
    keep_session(stop, {[&](Backoff& backoff) { session(settings, stop, run_id, backoff); }, {}});
  } catch (...) {
    throw_as_run_error();
  }
}

}  // namespace anabranch
