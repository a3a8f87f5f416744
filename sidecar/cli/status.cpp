#include "sidecar/cli/status.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/status_judge.hpp"
#include "sidecar/cli/status_screen.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;

// Between the two looks that rates are made from.
constexpr auto second_look = 500ms;
constexpr auto response_max = 10s;

struct Look {
  StatusFacts facts;
  std::chrono::steady_clock::time_point at;
};

Look look(Connection& connection) {
  auto facts = read_status(connection);
  return {std::move(facts), std::chrono::steady_clock::now()};
}

std::optional<Rates> rates_between(const Look& earlier, const Look& later) {
  if (!earlier.facts.source || !later.facts.source) return std::nullopt;
  const double seconds = std::chrono::duration<double>(later.at - earlier.at).count();
  if (seconds <= 0) return std::nullopt;
  const auto& a = *earlier.facts.source;
  const auto& b = *later.facts.source;
  return Rates{static_cast<double>(std::max<int64_t>(0, b.applied_rows - a.applied_rows)) / seconds,
               static_cast<double>(std::max<int64_t>(0, b.applied_transactions - a.applied_transactions)) / seconds};
}

// One run of looks, over a session that is made anew when it breaks.
class Watcher {
 public:
  Watcher(const Settings& settings, const StatusOptions& options) : settings_(settings), options_(options) {}

  Severity once() {
    try {
      if (!connection_) {
        auto connect = connect_options(settings_, "anabranch status");
        connect.response_timeout = response_max;
        connection_ = std::make_unique<Connection>(connect);
        earlier_.reset();
      }
      if (!earlier_) {
        earlier_ = look(*connection_);
        if (earlier_->facts.source && earlier_->facts.source->sidecar_running) std::this_thread::sleep_for(second_look);
      }
      auto now = look(*connection_);
      const auto findings = judge(now.facts, settings_.wal_keep_limit_bytes);
      const auto rates = rates_between(*earlier_, now);
      print(now.facts, rates, findings);
      earlier_ = std::move(now);
      return worst(findings);
    } catch (const PgError& error) {
      const bool connected = connection_ != nullptr;
      connection_.reset();
      auto finding = diagnose(error, connected ? Attempt::statement : Attempt::connection, settings_);
      finding.severity = Severity::unknown;
      if (connected && error.sqlstate() == "42501") finding.remedy = "GRANT anabranch_monitor TO this role";
      StatusFacts facts;
      facts.server = describe(settings_.home);
      facts.extension_version = ANABRANCH_VERSION;
      print(facts, std::nullopt, {finding});
      return Severity::unknown;
    }
  }

 private:
  const Settings& settings_;
  const StatusOptions& options_;
  std::unique_ptr<Connection> connection_;
  std::optional<Look> earlier_;

  void print(const StatusFacts& facts, const std::optional<Rates>& rates, const std::vector<Finding>& findings) const {
    // Home, and clear what is below: a screen that is rewritten in place does not flicker.
    if (options_.watch && !options_.json && isatty(STDOUT_FILENO) != 0) fmt::print("\x1b[H\x1b[J");
    fmt::print("{}", options_.json ? status_json(facts, rates, findings) : status_screen(facts, rates, findings));
    std::fflush(stdout);
  }
};

}  // namespace

int status(const Settings& settings, const StatusOptions& options) {
  Watcher watcher(settings, options);
  auto severity = watcher.once();
  while (options.watch) {
    std::this_thread::sleep_for(*options.watch);
    severity = watcher.once();
    if (std::ferror(stdout) != 0) break;
  }
  return static_cast<int>(severity);
}

}  // namespace anabranch
