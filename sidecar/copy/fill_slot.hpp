// The replication slot of its own that keeps, while a copy is filled or catches up, what happens meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/apply/session.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Instead of a copy's number, of the slot through which verifications read. Copies are numbered from 1.
constexpr int64_t verifier_number = 0;

// "<slot>_fill_<id>", where <slot> is the main one.
std::string fill_slot_name(const std::string& slot, int64_t copy_id);

// Copies the main slot, at the position where that is.
void make_fill_slot(Connection& connection, const std::string& main_slot, const std::string& slot);

// The position it has let go of; not valid when there is no such slot.
Lsn confirmed_of(Connection& connection, const std::string& slot);

// Whether it is there and still has everything after `position`.
bool slot_keeps(Connection& connection, const std::string& slot, Lsn position);

// Drops it, as drop_slot() does.
void drop_fill_slot(Connection& connection, const std::string& slot, const Stop* stop = nullptr);

// Drops the fill slots whose copy does not need one any more. A slot in use is left alone, and so is the
// verifications'. `copies` are all there are.
void drop_orphan_slots(Connection& connection, const std::string& main_slot, const std::vector<CopyRow>& copies);

}  // namespace anabranch
