#include "sidecar/cli/init.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <set>
#include <thread>

#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/preparation.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;

// A new slot waits until the transactions that were open at its start have ended. After the first wait we say for whom.
constexpr std::array slot_waits{5s, 60s};
constexpr auto reload_wait_max = 5s;
constexpr const char* query_canceled = "57014";

void print(const Finding& finding, std::string_view label) {
  fmt::print("{}", format_finding(finding, label));
  std::fflush(stdout);
}

// Who has the oldest transaction open, for one who waits for it.
std::string oldest_transaction(Connection& connection) {
  const auto row = connection.exec(
      "SELECT format('process %s of role %s, open for %s', pid, usename, date_trunc('second', now() - xact_start))"
      " FROM pg_catalog.pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()"
      " AND backend_xid IS NOT NULL ORDER BY xact_start LIMIT 1");
  return row.rows() == 0 ? "a prepared transaction (see pg_prepared_xacts)" : std::string(row.text(0, 0));
}

std::string remedy_for(const PgError& error, const Step& step, const std::string& statement, Connection& connection) {
  if (error.sqlstate() == "42501")
    return fmt::format("as a superuser run: {};\nor have one run the script of: anabranch init --sql", statement);
  if (error.sqlstate() == query_canceled && step.subject == "slot")
    return fmt::format("a new slot waits for transactions that are open: {}. End it and run anabranch init again",
                       oldest_transaction(connection));
  if (error.message().find("may not be used as an output plugin") != std::string::npos)
    return fmt::format("add {} to output_plugin_libraries in postgresql.conf, reload, and run anabranch init again",
                       decoder_name);
  if (error.message().find("could not access file") != std::string::npos ||
      error.message().find("could not load library") != std::string::npos)
    return fmt::format("install version {} on the server: make && make install", ANABRANCH_VERSION);
  return error.hint().empty() ? fmt::format("the statement was: {}", printable(statement)) : printable(error.hint());
}

class Preparation {
 public:
  Preparation(Connection& connection, const Settings& settings) : connection_(connection), settings_(settings) {}

  bool all_done() const { return remaining_.empty(); }

  void take(const Step& step) {
    const Finding finding{Severity::ok, step.subject, step.text, step.remedy};
    switch (step.state) {
      case Step::State::fine:
        print(finding, "ok");
        return;
      case Step::State::advice:
        print(finding, "note");
        return;
      case Step::State::remains:
        remaining_.insert(step.subject);
        print(finding, "to do");
        return;
      case Step::State::doable:
        break;
    }
    for (const auto& needed : step.needs)
      if (remaining_.contains(needed)) {
        remaining_.insert(step.subject);
        print({Severity::ok, step.subject, step.text,
               fmt::format("waits for {} above; then run anabranch init again", needed)},
              "to do");
        return;
      }
    perform(step);
  }

 private:
  Connection& connection_;
  const Settings& settings_;
  std::set<std::string> remaining_;

  void perform(const Step& step) {
    for (const auto& statement : step.statements) {
      try {
        step.subject == "slot" ? create_slot(step, statement) : static_cast<void>(connection_.exec(statement));
      } catch (const PgError& error) {
        remaining_.insert(step.subject);
        if (error.connection_lost()) throw;
        const auto finding = diagnose(error, Attempt::statement, settings_);
        print({Severity::ok, step.subject, fmt::format("{}: {}", step.text, finding.text),
               remedy_for(error, step, statement, connection_)},
              "to do");
        return;
      }
    }
    if (step.subject == "output_plugin_libraries" && !reloaded()) {
      remaining_.insert(step.subject);
      print({Severity::ok, step.subject, step.done + ", which the server has not taken up",
             "look into the server's log; a setting on the server's command line would override it"},
            "to do");
      return;
    }
    if (step.restart) remaining_.insert(step.subject);
    print({Severity::ok, step.subject, step.done, step.restart ? step.remedy : ""}, "done");
  }

  void create_slot(const Step& step, const std::string& statement) {
    for (const auto wait : slot_waits) {
      try {
        connection_.exec(fmt::format("SET statement_timeout = {}", std::chrono::milliseconds(wait).count()));
        connection_.exec(statement);
        connection_.exec("SET statement_timeout = 0");
        return;
      } catch (const PgError& error) {
        if (error.connection_lost()) throw;
        connection_.exec("SET statement_timeout = 0");
        if (error.sqlstate() != query_canceled || wait == slot_waits.back()) throw;
        print({Severity::ok, step.subject,
               fmt::format("waits up to {} s for transactions that are open: {}", slot_waits.back().count(),
                           oldest_transaction(connection_)),
               ""},
              "wait");
      }
    }
  }

  // A reload reaches a session a moment later.
  bool reloaded() {
    const auto end = std::chrono::steady_clock::now() + reload_wait_max;
    while (std::chrono::steady_clock::now() < end) {
      const auto list = connection_.exec("SELECT pg_catalog.current_setting('output_plugin_libraries')");
      const auto names = parse_plugin_list(list.text(0, 0));
      if (std::find(names.begin(), names.end(), decoder_name) != names.end()) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }
};

}  // namespace

int init(const Settings& settings, const InitOptions& options) {
  if (options.sql) {
    fmt::print("{}", init_script(settings, options));
    return 0;
  }
  Connection connection(connect_options(settings, "anabranch init"));
  if (behind_pooler(connection)) {
    print({Severity::ok, "connection", "leads through a connection pooler",
           "give the server's own host and port: replication slots do not work through a pooler"},
          "to do");
    return 1;
  }
  const auto facts = read_server_facts(connection, settings, options.role);
  Preparation preparation(connection, settings);
  for (const auto& step : plan_preparation(facts, settings, options)) preparation.take(step);
  fmt::print("{}", preparation.all_done() ? "\nready: anabranch run\n"
                                          : "\nnot ready yet: see \"to do\" above, then run anabranch init again\n");
  return preparation.all_done() ? 0 : 1;
}

}  // namespace anabranch
