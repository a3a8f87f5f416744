#include "sidecar/cli/diagnose.hpp"

#include <charconv>
#include <fmt/format.h>

#include "sidecar/cli/names.hpp"

namespace anabranch {
namespace {

constexpr const char* pooler_remedy =
    "give the server's own host and port: a connection pooler (PgBouncer and the like) passes on neither the "
    "replication protocol nor settings of a session";

std::string parameter(const Settings& settings, const std::string& keyword, std::string_view otherwise) {
  const auto found = settings.home.find(keyword);
  return found == settings.home.end() ? std::string(otherwise) : printable(found->second);
}

bool says(const PgError& error, std::string_view words) {
  return error.message().find(words) != std::string::npos;
}

// The remedy for a connection that was refused; empty where none is known.
std::string connection_remedy(const PgError& error, Attempt attempt, const Settings& settings) {
  const auto& code = error.sqlstate();
  const auto database = printable(database_of(settings.home));
  const auto user = parameter(settings, "user", "ROLE");
  if (says(error, "unsupported startup parameter")) return pooler_remedy;
  if (says(error, "no password supplied") || says(error, "fe_sendauth"))
    return "set PGPASSWORD, or write the password into a password file (PGPASSFILE, ~/.pgpass, mode 0600)";
  if (code == "28P01")
    return "correct the password in PGPASSWORD, the password file or the settings file; as a superuser it is set with: "
           "\\password " +
           user;
  if (says(error, "pg_hba.conf"))
    return fmt::format(
        "add a line to pg_hba.conf and reload the server, as in: host \"{}\" {} ADDRESS/32 scram-sha-256\n"
        "(the word replication there does not match logical replication: name the database)",
        database, user);
  if (code == "28000" && says(error, "does not exist"))
    return "name an existing role with -U, or make one: anabranch init --role NAME";
  if (code == "28000" && says(error, "not permitted to log in")) return fmt::format("ALTER ROLE {} LOGIN", user);
  if (code == "28000") return "connect as the role that the server's pg_hba.conf or pg_ident.conf expects (-U)";
  if (code == "3D000") return fmt::format("name an existing database with -d, or create it: createdb \"{}\"", database);
  if (code == "42501" && attempt == Attempt::replication_connection)
    return fmt::format("ALTER ROLE {} REPLICATION; or: anabranch init --role NAME", user);
  if (code == "42501") return fmt::format("GRANT CONNECT ON DATABASE \"{}\" TO {}", database, user);
  if (code == "53300" && says(error, "max_wal_senders"))
    return "raise max_wal_senders in postgresql.conf and restart the server";
  if (code == "53300") return "free a connection, or raise max_connections in postgresql.conf and restart the server";
  if (code == "57P03") return "the server is starting, stopping or recovering: try again in a moment";
  if (says(error, "SSL") || says(error, "certificate"))
    return "correct sslmode, sslrootcert or the server's certificate; anabranch never falls back to a plain connection "
           "by itself";
  if (says(error, "could not translate host name") || says(error, "No such file") ||
      says(error, "Connection refused") || says(error, "timeout"))
    return "start the server, or correct host and port (-h, -p, PGHOST, PGPORT)";
  return {};
}

}  // namespace

Finding diagnose(const PgError& error, Attempt attempt, const Settings& settings) {
  Finding finding;
  finding.severity = error.connection_lost() ? Severity::unknown : Severity::critical;
  finding.text = printable(error.message());
  if (!error.detail().empty()) finding.text += "; " + printable(error.detail());
  switch (attempt) {
    case Attempt::connection:
    case Attempt::replication_connection:
      finding.subject = attempt == Attempt::connection ? "connection" : "replication connection";
      finding.severity = Severity::critical;
      finding.remedy = connection_remedy(error, attempt, settings);
      if (finding.remedy.empty()) finding.remedy = fmt::format("tried: {}", describe(settings.home));
      break;
    case Attempt::statement:
      finding.subject = "server";
      break;
  }
  if (finding.remedy.empty()) finding.remedy = printable(error.hint());
  return finding;
}

ConnectOptions connect_options(const Settings& settings, const std::string& application_name) {
  ConnectOptions options;
  options.conninfo = conninfo_of(settings.home);
  options.application_name = application_name;
  if (const auto timeout = settings.home.find("connect_timeout"); timeout != settings.home.end()) {
    int seconds = 0;
    std::from_chars(timeout->second.data(), timeout->second.data() + timeout->second.size(), seconds);
    if (seconds > 0) options.connect_timeout = std::chrono::seconds(seconds);
  }
  return options;
}

}  // namespace anabranch
