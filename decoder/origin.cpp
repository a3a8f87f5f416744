#include "extension/postgres.hpp"

#include "decoder/origin.hpp"

#include "decoder/guard.hpp"

namespace anabranch {

namespace {

OriginFilter* live_filter = nullptr;

void on_catalog(Datum, int, uint32) {
  if (live_filter) live_filter->forget();
}

void on_context_gone(void* filter) {
  if (live_filter == filter) live_filter = nullptr;
}

constexpr size_t origin_count_max = PG_UINT16_MAX + 1;

}  // namespace

void OriginFilter::open(MemoryContext context, List* names) {
  names_ = names;
  known_ = nullptr;
  if (names == NIL) return;
  known_ = static_cast<uint8*>(MemoryContextAllocZero(context, origin_count_max));
  auto* callback = static_cast<MemoryContextCallback*>(MemoryContextAllocZero(context, sizeof(MemoryContextCallback)));
  callback->func = on_context_gone;
  callback->arg = this;
  MemoryContextRegisterResetCallback(context, callback);
  live_filter = this;
  static bool is_registered = false;
  if (!is_registered) CacheRegisterSyscacheCallback(REPLORIGIDENT, on_catalog, Datum{0});
  is_registered = true;
}

bool OriginFilter::skips(RepOriginId origin) {
  if (known_ == nullptr || origin == InvalidRepOriginId) return false;
  if (known_[origin] == unknown) {
    bool is_skipped = is_named(origin);
    known_[origin] = is_skipped ? skipped : taken;
  }
  return known_[origin] == skipped;
}

bool OriginFilter::is_named(RepOriginId origin) {
  // The walsender reads the log outside of transactions; the catalogs can only be read inside one.
  MemoryContext caller = CurrentMemoryContext;
  bool own_transaction = !IsTransactionState();
  if (own_transaction) StartTransactionCommand();
  char* name;
  bool result = false;
  if (replorigin_by_oid(origin, true, &name)) {
    ListCell* cell;
    foreach (cell, names_) result |= strcmp(static_cast<char*>(lfirst(cell)), name) == 0;
  }
  if (own_transaction) CommitTransactionCommand();
  MemoryContextSwitchTo(caller);
  return result;
}

void OriginFilter::forget() {
  if (known_) memset(known_, unknown, origin_count_max);
}

const char* origin_name(RepOriginId origin) {
  char* name;
  if (origin == InvalidRepOriginId || origin == DoNotReplicateId || !replorigin_by_oid(origin, true, &name)) return "";
  return readable_utf8(name);
}

}  // namespace anabranch
