#include "sidecar/cli/settings.hpp"

#include "sidecar/cli/names.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <memory>

namespace anabranch {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// What libpq would use for `keyword` where the parameters are silent, empty where it has no default either.
std::string libpq_default(const ConnectionParameters& home, const char* keyword) {
  if (const auto set = home.find(keyword); set != home.end()) return set->second;
  const std::unique_ptr<PQconninfoOption, FreeOptions> defaults(PQconndefaults());
  for (const auto* option = defaults.get(); option != nullptr && option->keyword != nullptr; ++option)
    if (std::string_view(option->keyword) == keyword && option->val != nullptr) return option->val;
  return {};
}

}  // namespace

std::string database_of(const ConnectionParameters& home) {
  auto database = libpq_default(home, "dbname");
  return database.empty() ? libpq_default(home, "user") : database;
}

std::string slot_of(const Settings& settings) {
  return settings.slot.empty() ? slot_name_for(database_of(settings.home)) : settings.slot;
}

std::string topic_prefix_of(const Settings& settings) {
  return settings.kafka.prefix.empty() ? default_topic_prefix(database_of(settings.home)) : settings.kafka.prefix;
}

std::string conninfo_of(const ConnectionParameters& parameters) {
  std::string conninfo;
  for (const auto& [keyword, value] : parameters) {
    conninfo += fmt::format("{}{}='", conninfo.empty() ? "" : " ", keyword);
    for (const char c : value) {
      if (c == '\'' || c == '\\') conninfo += '\\';
      conninfo += c;
    }
    conninfo += '\'';
  }
  return conninfo;
}

std::string describe(const ConnectionParameters& home) {
  auto host = libpq_default(home, "host");
  if (host.empty()) host = libpq_default(home, "hostaddr");
  auto port = libpq_default(home, "port");
  return fmt::format("database \"{}\" on {}{}{} as \"{}\"", printable(database_of(home)),
                     host.empty() ? "the local socket" : printable(host), port.empty() ? "" : ":", printable(port),
                     printable(libpq_default(home, "user")));
}

}  // namespace anabranch
