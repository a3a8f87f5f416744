#include "sidecar/copy/fill_slot.hpp"

#include <algorithm>
#include <chrono>

#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

constexpr int drop_attempts_max = 50;
constexpr std::chrono::milliseconds drop_retry_wait{100};

// What a slot says of itself.
struct SlotState {
  bool exists = false;
  bool lost = false;
  Lsn confirmed;
};

SlotState read_slot(Connection& connection, const std::string& slot) {
  const Result result = connection.exec(
      "SELECT confirmed_flush_lsn, coalesce(wal_status = 'lost', false) FROM pg_replication_slots WHERE slot_name = $1",
      Parameters().text(slot));
  if (result.rows() == 0) return {};
  return SlotState{true, result.boolean(0, 1), result.optional_lsn(0, 0).value_or(Lsn{})};
}

}  // namespace

std::string fill_slot_name(const std::string& slot, int64_t copy_id) {
  return slot + "_fill_" + std::to_string(copy_id);
}

void make_fill_slot(Connection& connection, const std::string& main_slot, const std::string& slot) {
  connection.exec("SELECT pg_copy_logical_replication_slot($1::name, $2::name, false)",
                  Parameters().text(main_slot).text(slot));
}

Lsn confirmed_of(Connection& connection, const std::string& slot) {
  return read_slot(connection, slot).confirmed;
}

bool slot_keeps(Connection& connection, const std::string& slot, Lsn position) {
  const SlotState state = read_slot(connection, slot);
  return state.exists && !state.lost && state.confirmed <= position;
}

void drop_fill_slot(Connection& connection, const std::string& slot, const Stop* stop) {
  for (int attempt = 1;; ++attempt) {
    try {
      connection.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
                      Parameters().text(slot));
      return;
    } catch (const PgError& error) {
      if (error.sqlstate() != "55006" || stop == nullptr || attempt >= drop_attempts_max) throw;
      if (stop->wait(drop_retry_wait)) throw Interrupted();
    }
  }
}

void drop_orphan_slots(Connection& connection, const std::string& main_slot, const std::vector<CopyRow>& copies) {
  const std::string prefix = main_slot + "_fill_";
  const Result found = connection.exec(
      "SELECT slot_name FROM pg_replication_slots WHERE starts_with(slot_name, $1) AND NOT active AND database = "
      "current_database()",
      Parameters().text(prefix));
  for (std::size_t row = 0; row < found.rows(); ++row) {
    const std::string name(found.text(row, 0));
    if (name.find_first_not_of("0123456789", prefix.size()) != std::string::npos) continue;
    const bool needed = std::any_of(copies.begin(), copies.end(), [&](const CopyRow& copy) {
      return fill_slot_name(main_slot, copy.id) == name && (copy.state == "filling" || copy.state == "catching_up");
    });
    if (needed) continue;
    drop_fill_slot(connection, name);
    log_info("dropped a slot that no copy needs any more", {{"slot", name}});
  }
}

}  // namespace anabranch
