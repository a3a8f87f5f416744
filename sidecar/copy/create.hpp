// Fills a new copy, and brings one that fell behind level, while the others go on.
#pragma once

#include <string>

#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// What a worker works with. References must outlive the call.
struct WorkerContext {
  const RunSettings& settings;
  const SourceToken& token;
  JoinDesk& desk;
  const Stop& stop;  // of this worker
  std::string origin;
};

// Brings one copy from the state `waiting`, `filling` or `catching_up` to `live`, or sets it aside when its own
// statements fail; goes on where an earlier worker was cut off. Throws Interrupted when stopped, PgError and LogError
// when something fails that is not the copy's fault: call it again after a pause.
void create_copy(const WorkerContext& context, const CopyRow& copy);

// "<slot>_fill_<id>": the slot that keeps what happens while a copy is filled or catches up.
std::string fill_slot_name(const std::string& slot, int64_t copy_id);

// Drops it, if it is there; throws PgError with SQLSTATE 55006 while somebody reads it.
void drop_fill_slot(Connection& connection, const std::string& slot);

// Drops the fill slots whose copy does not need one any more. A slot in use is left alone. `copies` are all there are.
void drop_orphan_slots(Connection& connection, const std::string& slot, const std::vector<CopyRow>& copies);

}  // namespace anabranch
