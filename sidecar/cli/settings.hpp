// What the program is told: by its file, then by its command line, which wins. What neither says is libpq's to
// find (PGHOST, PGPASSWORD, a service, a passfile) or has the default written here.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "sidecar/index/settings.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/settings.hpp"

namespace anabranch {

// libpq's connection keywords ("host", "dbname", "sslmode"...) and their values. May hold a password: never print it
// as a whole; describe() says what may be said.
using ConnectionParameters = std::map<std::string, std::string>;

struct Settings {
  // The home database, which is also the first source.
  ConnectionParameters home;
  std::string slot;  // empty: slot_name_for(database)
  std::string publication = "anabranch";
  int64_t wal_keep_limit_bytes = int64_t{20} << 30;

  std::chrono::milliseconds batch_interval_max{1000};
  int fill_workers_max = 2;

  std::chrono::milliseconds verify_snapshot_max{5'000};
  std::string verify_pause_when;

  bool log_is_kafka = false;  // log = "kafka"
  KafkaSettings kafka;

  IndexSections indexes;

  LogFormat log_format = LogFormat::text;
  LogLevel log_level = LogLevel::info;
};

// The database that `home` leads to, by libpq's rules (dbname, PGDATABASE, service, the user's name).
std::string database_of(const ConnectionParameters& home);

// The slot in use: the one that was set, else the database's default.
std::string slot_of(const Settings& settings);

// What the topics' names begin with: what was set, else the database's name as far as it can stand there.
std::string topic_prefix_of(const Settings& settings);

// The parameters as a connection string, quoted by libpq's rules. Holds the password where they do.
std::string conninfo_of(const ConnectionParameters& parameters);

// "database "shop" on /run/postgresql:5432 as "app"" without any secret, made printable.
std::string describe(const ConnectionParameters& home);

}  // namespace anabranch
