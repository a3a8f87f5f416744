#include "sidecar/pg/slot.hpp"

#include <chrono>

namespace anabranch {
namespace {

constexpr const char* object_in_use = "55006";
constexpr int drop_attempts_max = 50;
constexpr std::chrono::milliseconds drop_retry_wait{100};

}  // namespace

std::optional<SlotState> read_slot(Connection& connection, const std::string& slot) {
  const Result result = connection.exec(
      "SELECT confirmed_flush_lsn, coalesce(wal_status = 'lost', false) FROM pg_catalog.pg_replication_slots "
      "WHERE slot_name = $1",
      Parameters().text(slot));
  if (result.rows() == 0) return std::nullopt;
  return SlotState{result.optional_lsn(0, 0).value_or(Lsn{}), result.boolean(0, 1)};
}

void drop_slot(Connection& connection, const std::string& slot, const Stop* stop) {
  for (int attempt = 1;; ++attempt) {
    try {
      connection.exec(
          "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots "
          "WHERE slot_name = $1",
          Parameters().text(slot));
      return;
    } catch (const PgError& error) {
      if (error.sqlstate() != object_in_use || stop == nullptr || attempt >= drop_attempts_max) throw;
      if (stop->wait(drop_retry_wait)) throw Interrupted();
    }
  }
}

}  // namespace anabranch
