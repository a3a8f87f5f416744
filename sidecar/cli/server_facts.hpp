// What is the case in a server, as far as init, check and drop ask.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/cli/settings.hpp"
#include "sidecar/pg/connection.hpp"

namespace anabranch {

inline constexpr std::string_view decoder_name = "anabranch_decoder";
inline constexpr std::string_view sidecar_role_name = "anabranch_sidecar";
// What marks a publication as made by init, and so as one that drop may drop.
inline constexpr std::string_view publication_comment = "Anabranch: tables that copies are made of";

// A setting that takes a restart.
struct ServerLimit {
  int64_t value = 0;
  int64_t used = 0;
  bool pending_restart = false;  // another value stands in the server's files

  int64_t left() const { return value - used; }
};

struct SlotFacts {
  std::string name;
  std::string plugin;    // empty: a physical slot
  std::string database;  // empty: a physical slot
  bool active = false;
  std::optional<int64_t> active_pid;
  std::string wal_status;  // reserved, extended, unreserved, lost; empty where not known
  bool two_phase = false;
  int64_t wal_kept_bytes = 0;
  std::optional<Lsn> confirmed;
};

struct PublicationFacts {
  std::string owner;
  bool via_root = false;
  bool all_operations = false;  // insert, update, delete, truncate
  bool has_ddl = false;         // publishes anabranch.ddl
  bool ours = false;            // carries publication_comment
  int64_t tables = 0;
  bool generated_columns = true;  // has those that are stored, or the server does not ask for them
};

struct RoleFacts {
  bool login = false;
  bool replication = false;  // or superuser
  bool sidecar = false;      // member of anabranch_sidecar, or superuser
  bool connect = false;      // may connect to the database
};

struct ServerFacts {
  int version = 0;  // 150020
  std::string version_text;
  std::string database;
  std::string user;
  bool superuser = false;
  RoleFacts self;  // of the connected role
  bool in_recovery = false;

  std::string wal_level;
  bool wal_level_pending_restart = false;
  ServerLimit slots;
  ServerLimit senders;
  int64_t slot_wal_keep_bytes = -1;  // max_slot_wal_keep_size; -1: no bound

  bool knows_plugin_list = false;          // the server has output_plugin_libraries
  std::optional<std::string> plugin_list;  // its value; nullopt where this role may not read it
  std::string plugin_list_file;            // where it is set; empty: default, or not to be seen by this role
  std::string config_file;                 // the server's postgresql.conf; empty where not to be seen

  std::string extension_available;  // version on the server's disk; empty: not installed there
  std::string extension_installed;  // version in this database; empty: not created
  std::optional<PublicationFacts> publication;
  std::vector<SlotFacts> our_slots;       // the slot and its fill slots, by name, whoever's plugin they have
  std::vector<std::string> our_origins;   // the slot's and its fill slots'
  std::optional<RoleFacts> role;          // of the role that was asked for; nullopt: there is none of that name
  bool origin_functions_granted = false;  // anabranch_sidecar may use them

  const SlotFacts* slot(std::string_view name) const;
};

// Reads all that over `connection`, with a few statements outside a transaction. `role` is the role to describe, empty:
// none. Throws PgError when the server does not answer; what this role may not see is left at its default.
ServerFacts read_server_facts(Connection& connection, const Settings& settings, const std::string& role = {});

// output_plugin_libraries as the server reads it: names between commas, quoted ones whole.
std::vector<std::string> parse_plugin_list(std::string_view list);

// Whether a name in the list is a list itself: what ALTER SYSTEM SET output_plugin_libraries = 'a, b' leaves.
bool is_quoted_as_one(std::string_view list);

// The names of the list with the decoder's, taken apart where they were quoted as one; as the server writes them.
std::string plugin_list_with_decoder(std::string_view list);

// How PgBouncer and its like give themselves away: the session's process is not the one they announced.
bool behind_pooler(Connection& connection);

}  // namespace anabranch
