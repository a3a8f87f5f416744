#include "sidecar/cli/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sidecar/cli/check_kafka.hpp"
#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/preparation.hpp"
#include "sidecar/cli/status_facts.hpp"
#include "sidecar/index/index.hpp"
#include "sidecar/pg/replication_stream.hpp"

namespace anabranch {
namespace {

// What init would do is what is missing for a run.
Finding finding_of(const Step& step) {
  switch (step.state) {
    case Step::State::fine:
      return {Severity::ok, step.subject, step.text, {}};
    case Step::State::advice:
      return {Severity::warning, step.subject, step.text, step.remedy};
    case Step::State::doable:
      return {Severity::critical, step.subject, step.text, "anabranch init"};
    case Step::State::remains:
      break;
  }
  return {Severity::critical, step.subject, step.text, step.remedy};
}

void examine_role(const ServerFacts& facts, std::vector<Finding>& findings) {
  const auto subject = fmt::format("role \"{}\"", printable(facts.user));
  std::vector<std::string> missing;
  if (!facts.self.replication) missing.emplace_back("the attribute REPLICATION");
  if (!facts.self.sidecar && !facts.extension_installed.empty())
    missing.emplace_back("membership in anabranch_sidecar");
  if (missing.empty())
    findings.push_back({Severity::ok, subject, "may run the sidecar", {}});
  else
    findings.push_back(
        {Severity::critical, subject, fmt::format("lacks {}", fmt::join(missing, " and ")),
         fmt::format("as a superuser: anabranch init --role {}", quote_identifier(printable(facts.user)))});
}

void examine_replication(const Settings& settings, std::vector<Finding>& findings) {
  try {
    ReplicationStream stream(connect_options(settings, "anabranch check"));
    const auto identity = stream.identify_system();
    findings.push_back({Severity::ok,
                        "replication connection",
                        fmt::format("works; system {}, timeline {}", identity.system_identifier, identity.timeline),
                        {}});
  } catch (const PgError& error) {
    findings.push_back(diagnose(error, Attempt::replication_connection, settings));
  }
}

void examine_copies(Connection& connection, std::vector<Finding>& findings) {
  try {
    const auto status = read_status(connection);
    const auto bad = std::count_if(status.copies.begin(), status.copies.end(),
                                   [](const auto& copy) { return copy.severity != Severity::ok; });
    if (bad == 0)
      findings.push_back({Severity::ok, "copies", fmt::format("{}, none with a problem", status.copies.size()), {}});
    else
      // The others run all the same.
      findings.push_back({Severity::warning, "copies",
                          fmt::format("{} of {} have a problem", bad, status.copies.size()), "anabranch status"});
  } catch (const PgError& error) {
    if (error.sqlstate() != "42501") throw;  // the role's finding says so already
  }
}

void examine_engines(const Settings& settings, std::vector<Finding>& findings) {
  const Stop never;
  for (const auto& [name, section] : settings.indexes) {
    const auto subject = fmt::format("index.{}", printable(name));
    try {
      findings.push_back({Severity::ok, subject, describe_engine(section, never), {}});
    } catch (const IndexError& error) {
      // The others run all the same.
      findings.push_back({Severity::warning, subject, printable(error.what()), printable(error.remedy())});
    }
  }
}

void examine_server(Connection& connection, const Settings& settings, std::vector<Finding>& findings) {
  if (behind_pooler(connection)) {
    findings.push_back({Severity::critical, "connection", "leads through a connection pooler",
                        "give the server's own host and port: neither replication nor session settings pass a pooler"});
    return;
  }
  findings.push_back({Severity::ok, "connection", connection.description(), {}});
  const auto facts = read_server_facts(connection, settings);
  for (const auto& step : plan_preparation(facts, settings, {})) {
    // A superuser needs no grants; an origin is made by whoever may when it is missing.
    if (facts.superuser && step.subject == sidecar_role_name) continue;
    if (step.subject == "replication origin" && facts.origin_functions_granted) continue;
    findings.push_back(finding_of(step));
  }
  if (facts.version < 150000) return;
  examine_role(facts, findings);
  examine_replication(settings, findings);
  if (facts.extension_installed.empty()) return;
  examine_copies(connection, findings);
  if (!settings.log_is_kafka) return;
  const auto of_kafka = examine_kafka(settings, connection);
  findings.insert(findings.end(), of_kafka.begin(), of_kafka.end());
}

}  // namespace

std::vector<Finding> examine(const Settings& settings) {
  std::vector<Finding> findings;
  std::optional<Connection> connection;
  try {
    connection.emplace(connect_options(settings, "anabranch check"));
  } catch (const PgError& error) {
    findings.push_back(diagnose(error, Attempt::connection, settings));
    return findings;
  }
  try {
    examine_server(*connection, settings, findings);
  } catch (const PgError& error) {
    findings.push_back(diagnose(error, Attempt::statement, settings));
  }
  examine_engines(settings, findings);
  return findings;
}

int check(const Settings& settings) {
  const auto findings = examine(settings);
  bool runs = true;
  for (const auto& finding : findings) {
    fmt::print("{}", format_finding(finding));
    runs = runs && !worse(finding.severity, Severity::warning);
  }
  fmt::print("{}", runs ? "\nanabranch run would work\n" : "\nanabranch run would not work: see above\n");
  return runs ? 0 : 1;
}

}  // namespace anabranch
