#include "extension/gather.hpp"

extern "C" {
#include <access/xact.h>
#include <utils/resowner.h>
}

#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

struct Gathered {
  Changes changes;
  Oid oid;          // of the copy
  TupleDesc* rows;  // what a row of each store looks like, by ordinal - 1
  int source_count;
  MemoryContext context;
};

List* all_gathered;  // of Gathered*, in the transaction's memory

void end_transaction(XactEvent event, void*) {
  switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
      if (all_gathered != NIL)
        ereport(ERROR, (errcode(kInconsistent),
                        errmsg("rows gathered for copy %u were not applied",
                               static_cast<Gathered*>(linitial(all_gathered))->oid),
                        errhint("Call anabranch.apply in the same transaction.")));
      break;
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
      all_gathered = NIL;
      break;
    default:
      break;
  }
}

// The copy's entry may be another one by now: a VACUUM of its table is enough. What its rows look like must not be.
void adopt(Gathered* gathered, Copy* copy) {
  bool same = gathered->source_count == copy->source_count;
  for (int i = 0; same && i < copy->source_count; i++)
    same = equalTupleDescs(gathered->rows[i], copy->sources[i].delta);
  if (!same)
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("copy \"%s\" was changed while its rows were gathered", get_rel_name(copy->oid))));
  gathered->changes.copy = copy;
}

void require_no_subtransaction() {
  if (GetCurrentTransactionNestLevel() > 1)
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                    errmsg("rows are gathered, and then applied, outside of subtransactions only")));
}

Gathered* find(Copy* copy) {
  ListCell* cell;
  foreach (cell, all_gathered) {
    auto* gathered = static_cast<Gathered*>(lfirst(cell));
    if (gathered->oid != copy->oid) continue;
    require_no_subtransaction();
    adopt(gathered, copy);
    return gathered;
  }
  return nullptr;
}

}  // namespace

Changes* find_gathered(Copy* copy) {
  Gathered* gathered = find(copy);
  return gathered == nullptr ? nullptr : &gathered->changes;
}

Changes* open_gathered(Copy* copy) {
  static bool registered = false;
  if (!registered) RegisterXactCallback(end_transaction, nullptr);
  registered = true;
  if (Gathered* gathered = find(copy)) return &gathered->changes;
  require_no_subtransaction();

  MemoryContext context =
      AllocSetContextCreate(TopTransactionContext, "anabranch gathered rows", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  // Temporary files belong to the owner that is current here; the statement's ends with it.
  ResourceOwner owner = CurrentResourceOwner;
  CurrentResourceOwner = TopTransactionResourceOwner;
  auto* gathered = static_cast<Gathered*>(palloc0(sizeof(Gathered)));
  auto* rows = static_cast<TupleDesc*>(palloc(sizeof(TupleDesc) * (copy->source_count + 1)));
  for (int i = 0; i < copy->source_count; i++) rows[i] = CreateTupleDescCopy(copy->sources[i].delta);
  *gathered = Gathered{open_changes(copy), copy->oid, rows, copy->source_count, context};
  CurrentResourceOwner = owner;
  MemoryContextSwitchTo(TopTransactionContext);
  all_gathered = lappend(all_gathered, gathered);
  MemoryContextSwitchTo(caller);
  return &gathered->changes;
}

void close_gathered(Changes* changes) {
  ListCell* cell;
  foreach (cell, all_gathered) {
    auto* gathered = static_cast<Gathered*>(lfirst(cell));
    if (&gathered->changes != changes) continue;
    close_changes(changes);
    all_gathered = foreach_delete_current(all_gathered, cell);
    MemoryContextDelete(gathered->context);
    return;
  }
}

}  // namespace anabranch
