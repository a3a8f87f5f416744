#include "sidecar/copy/fill_slot.hpp"

#include <algorithm>

#include "sidecar/logging.hpp"
#include "sidecar/pg/slot.hpp"

namespace anabranch {

std::string fill_slot_name(const std::string& slot, int64_t copy_id) {
  return slot + "_fill_" + std::to_string(copy_id);
}

void make_fill_slot(Connection& connection, const std::string& main_slot, const std::string& slot) {
  connection.exec("SELECT pg_copy_logical_replication_slot($1::name, $2::name, false)",
                  Parameters().text(main_slot).text(slot));
}

Lsn confirmed_of(Connection& connection, const std::string& slot) {
  const std::optional<SlotState> state = read_slot(connection, slot);
  return state ? state->confirmed : Lsn();
}

bool slot_keeps(Connection& connection, const std::string& slot, Lsn position) {
  const std::optional<SlotState> state = read_slot(connection, slot);
  return state && !state->lost && state->confirmed <= position;
}

void drop_fill_slot(Connection& connection, const std::string& slot, const Stop* stop) {
  drop_slot(connection, slot, stop);
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
    // The verifier drops its own, and may be about to use it.
    if (name == fill_slot_name(main_slot, verifier_number)) continue;
    // A copy's is made while it waits, and read when it is being filled.
    const bool needed = std::any_of(copies.begin(), copies.end(), [&](const CopyRow& copy) {
      return fill_slot_name(main_slot, copy.id) == name &&
             (copy.state == "waiting" || copy.state == "filling" || copy.state == "catching_up");
    });
    if (needed) continue;
    drop_fill_slot(connection, name);
    log_info("dropped a slot that no copy needs any more", {{"slot", name}});
  }
}

}  // namespace anabranch
