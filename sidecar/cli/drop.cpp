#include "sidecar/cli/drop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/server_facts.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

// One thing that goes, or, without statement, stays.
struct Item {
  std::string kind;
  std::string name;
  std::string note;
  std::string statement;
};

std::vector<Item> copies(Connection& connection, const ServerFacts& facts) {
  std::vector<Item> items;
  if (facts.extension_installed.empty()) return items;
  const auto rows = connection.exec("SELECT copy::text, state FROM anabranch.copies ORDER BY 1");
  for (size_t row = 0; row < rows.rows(); ++row) {
    const std::string name(rows.text(row, 0));
    items.push_back({"copy", printable(name), printable(rows.text(row, 1)),
                     fmt::format("SELECT anabranch.drop_aggregate_table({})", quote_literal(name))});
  }
  return items;
}

std::vector<Item> slots(const ServerFacts& facts) {
  std::vector<Item> items;
  for (const auto& slot : facts.our_slots) {
    if (slot.plugin != decoder_name || slot.database != facts.database)
      items.push_back({"slot", slot.name, "is not of anabranch_decoder in this database", {}});
    else
      items.push_back({"slot", slot.name, fmt::format("keeps {} of WAL", format_bytes(slot.wal_kept_bytes)),
                       fmt::format("SELECT pg_catalog.pg_drop_replication_slot({})", quote_literal(slot.name))});
  }
  return items;
}

std::vector<Item> items_of(Connection& connection, const ServerFacts& facts, const Settings& settings,
                           const DropOptions& options) {
  auto items = copies(connection, facts);
  for (auto& item : slots(facts)) items.push_back(std::move(item));
  if (facts.publication) {
    const auto shown = printable(settings.publication);
    if (facts.publication->ours)
      items.push_back({"publication", shown, format_count(facts.publication->tables, "table"),
                       "DROP PUBLICATION " + quote_identifier(settings.publication)});
    else
      items.push_back({"publication", shown, "was not made by anabranch init", {}});
  }
  for (const auto& origin : facts.our_origins)
    items.push_back({"replication origin",
                     origin,
                     {},
                     fmt::format("SELECT pg_catalog.pg_replication_origin_drop({})", quote_literal(origin))});
  if (!facts.extension_installed.empty())
    items.push_back({"extension", "anabranch", options.extension ? "" : "drop it with --extension",
                     options.extension ? "DROP EXTENSION anabranch" : ""});
  return items;
}

std::string line_of(const Item& item, std::string_view label) {
  return format_finding({Severity::ok, item.kind, item.note.empty() ? item.name : item.name + ": " + item.note, {}},
                        label);
}

std::string remedy_for(const PgError& error, const Item& item) {
  if (error.sqlstate() == "42501") return fmt::format("as its owner or a superuser: {};", printable(item.statement));
  if (error.sqlstate() == "2BP01") return "drop or change what depends on it, then run anabranch drop again";
  if (error.sqlstate() == "55006") return "stop the sidecar that uses it, then run anabranch drop again";
  return printable(error.hint());
}

}  // namespace

int drop(const Settings& settings, const DropOptions& options) {
  Connection connection(connect_options(settings, "anabranch drop"));
  const auto facts = read_server_facts(connection, settings);
  if (options.yes)
    for (const auto& slot : facts.our_slots)
      if (slot.active && slot.plugin == decoder_name) {
        fmt::print("{}", format_finding({Severity::critical, "sidecar",
                                         fmt::format("is running: slot {} is in use", slot.name),
                                         "stop anabranch run, then run anabranch drop again"}));
        return 1;
      }

  bool complete = true;
  const auto items = items_of(connection, facts, settings, options);
  for (const auto& item : items) {
    if (item.statement.empty() || !options.yes) {
      fmt::print("{}", line_of(item, item.statement.empty() ? "stays" : "would go"));
      continue;
    }
    try {
      connection.exec(item.statement);
      fmt::print("{}", line_of(item, "gone"));
    } catch (const PgError& error) {
      if (error.connection_lost()) throw;
      complete = false;
      const auto text = fmt::format("{}: {}", item.name, diagnose(error, Attempt::statement, settings).text);
      fmt::print("{}", format_finding({Severity::critical, item.kind, text, remedy_for(error, item)}, "stays"));
    }
  }
  const bool any = std::any_of(items.begin(), items.end(), [](const auto& item) { return !item.statement.empty(); });
  if (!any)
    fmt::print("nothing to drop in database \"{}\"\n", printable(facts.database));
  else if (!options.yes)
    fmt::print("\nnothing has been dropped; to do it: anabranch drop --yes\n");
  if (options.yes && any)
    fmt::print("\nroles, server settings and the replica identities of tables stay as they are\n");
  return complete ? 0 : 1;
}

}  // namespace anabranch
