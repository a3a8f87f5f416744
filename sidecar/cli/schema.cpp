#include "sidecar/cli/schema.hpp"

#include <fmt/format.h>

#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"

namespace anabranch {
namespace {

// 3F000, 42883: without the extension its schema and its functions are missing. The cast, too, says 3F000 of a schema.
std::string remedy_for(const PgError& error) {
  if (error.message().find("anabranch") != std::string::npos)
    return "anabranch init, or in the database: CREATE EXTENSION anabranch; ALTER EXTENSION anabranch UPDATE";
  if (error.sqlstate() == "42P01" || error.sqlstate() == "3F000" || error.sqlstate() == "42602")
    return "write schema and table as in SQL, with double quotes where SQL needs them: 'public.\"Order\"'";
  return printable(error.hint());
}

}  // namespace

int schema(const Settings& settings, const SchemaOptions& options) {
  Connection connection(connect_options(settings, "anabranch schema"));
  try {
    Parameters parameters;
    parameters.text(options.table);
    const auto answer = connection.exec("SELECT anabranch.proto_schema($1::pg_catalog.regclass)", parameters);
    fmt::print("{}", answer.text(0, 0));
    return 0;
  } catch (const PgError& error) {
    if (error.connection_lost()) throw;
    fmt::print(stderr, "{}",
               format_finding({Severity::critical, "schema", printable(error.message()), remedy_for(error)}));
    return 1;
  }
}

}  // namespace anabranch
