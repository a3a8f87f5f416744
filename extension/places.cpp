#include "extension/places.hpp"

extern "C" {
#include <access/tableam.h>
#include <catalog/pg_am_d.h>
#include <catalog/pg_class_d.h>
#include <storage/lmgr.h>
}

#include <algorithm>

#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

// Objects in a class of their own for the lock manager: a table's sub-objects are its columns, and none is locked so.
constexpr uint16 lock_of_merges = 1;
// Rows whose places are sought together.
constexpr int chunk_rows = 65536;

// Where the fold's columns have the key: the groups come first, and then how many rows there are.
Bitmapset* key_of(const Copy* copy, TupleDesc description, Relation state) {
  Bitmapset* key = nullptr;
  if (copy->rows_class) return bms_make_singleton(get_attnum(copy->state, "anabranch_key"));
  for (int i = 0; i < description->natts; i++) {
    const char* name = NameStr(TupleDescAttr(description, i)->attname);
    if (strcmp(name, "anabranch_rows") == 0) break;
    key = bms_add_member(key, get_attnum(RelationGetRelid(state), name));
  }
  return key;
}

bool covers(Relation index, const Bitmapset* key) {
  const Form_pg_index form = index->rd_index;
  if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || RelationGetIndexPredicate(index) != NIL)
    return false;
  if (form->indnkeyatts != bms_num_members(key)) return false;
  for (int i = 0; i < form->indnkeyatts; i++)
    if (form->indkey.values[i] <= 0 || !bms_is_member(form->indkey.values[i], key)) return false;
  return true;
}

Relation open_key_index(const Copy* copy, TupleDesc description, Relation state) {
  const Bitmapset* key = key_of(copy, description, state);
  ListCell* cell;
  foreach (cell, RelationGetIndexList(state)) {
    Relation index = index_open(lfirst_oid(cell), AccessShareLock);
    if (covers(index, key)) return index;
    index_close(index, AccessShareLock);
  }
  ereport(ERROR, (errcode(kStale), errmsg("the index over the key of copy \"%s\" is gone", get_rel_name(copy->oid)),
                  errhint("Drop the copy and create it again.")));
}

// Looks rows of one state table up by key.
class Finder {
 public:
  void open(const Copy* copy, TupleDesc description) {
    state_ = table_open(copy->state, AccessShareLock);
    index_ = open_key_index(copy, description, state_);
    for (int i = 0; i < key_count(); i++) {
      const Oid family = index_->rd_opfamily[i];
      const Oid type = index_->rd_opcintype[i];
      fmgr_info(get_opcode(get_opfamily_member(family, type, type, BTEqualStrategyNumber)), &equals_[i]);
      const int number = index_->rd_index->indkey.values[i];
      const char* name = NameStr(TupleDescAttr(RelationGetDescr(state_), number - 1)->attname);
      columns_[i] = SPI_fnumber(description, name);
      if (columns_[i] <= 0) elog(ERROR, "the fold of copy %u has no column \"%s\"", copy->oid, name);
    }
    CommandCounterIncrement();
    snapshot_ = RegisterSnapshot(GetLatestSnapshot());
    scan_ = index_beginscan(state_, index_, snapshot_, nullptr, key_count(), 0);
    fetch_ = table_index_fetch_begin(state_);
    found_ = table_slot_create(state_, nullptr);
  }

  // What the index has last for the row's key; invalid when it has nothing.
  ItemPointerData last_entry(TupleTableSlot* row) {
    seek(row);
    const ItemPointer entry = index_getnext_tid(scan_, BackwardScanDirection);
    if (entry != nullptr) return *entry;
    ItemPointerData none;
    ItemPointerSetInvalid(&none);
    return none;
  }

  // Makes of an index entry the place of the row it leads to; false when that is not a row any more.
  bool follow(ItemPointer entry) {
    bool again = false, all_dead = false;
    if (!table_index_fetch_tuple(fetch_, entry, snapshot_, found_, &again, &all_dead)) return false;
    *entry = found_->tts_tid;
    return true;
  }

  // The place of the row's key; invalid when there is none. Visits every version, and marks those that nobody sees.
  ItemPointerData walk(TupleTableSlot* row) {
    seek(row);
    ItemPointerData place;
    if (index_getnext_slot(scan_, BackwardScanDirection, found_))
      place = found_->tts_tid;
    else
      ItemPointerSetInvalid(&place);
    return place;
  }

  void close() {
    ExecDropSingleTupleTableSlot(found_);
    table_index_fetch_end(fetch_);
    index_endscan(scan_);
    UnregisterSnapshot(snapshot_);
    index_close(index_, AccessShareLock);
    table_close(state_, AccessShareLock);
  }

 private:
  int key_count() const { return index_->rd_index->indnkeyatts; }

  void seek(TupleTableSlot* row) {
    ScanKeyData keys[INDEX_MAX_KEYS];
    for (int i = 0; i < key_count(); i++) {
      bool is_null;
      const Datum value = slot_getattr(row, columns_[i], &is_null);
      const auto column = static_cast<AttrNumber>(i + 1);
      if (is_null)
        ScanKeyEntryInitialize(&keys[i], SK_ISNULL | SK_SEARCHNULL, column, InvalidStrategy, InvalidOid, InvalidOid,
                               InvalidOid, 0);
      else
        ScanKeyEntryInitializeWithInfo(&keys[i], 0, column, BTEqualStrategyNumber, InvalidOid,
                                       index_->rd_indcollation[i], &equals_[i], value);
    }
    index_rescan(scan_, keys, key_count(), nullptr, 0);
  }

  Relation state_;
  Relation index_;
  Snapshot snapshot_;
  IndexScanDesc scan_;
  IndexFetchTableData* fetch_;
  TupleTableSlot* found_;
  FmgrInfo equals_[INDEX_MAX_KEYS];
  int columns_[INDEX_MAX_KEYS];  // of the fold, by column of the index
};

// One row of a chunk, and what is known of where it belongs.
struct Target {
  ItemPointerData place;  // invalid: none, or not known yet
  bool unknown;           // to be walked for
};

// The entries of a chunk are followed in the table's order, so that a page is met once and not for each row on it.
void follow_entries(Finder* finder, Target* targets, int count) {
  auto** order = static_cast<Target**>(palloc(sizeof(Target*) * static_cast<size_t>(count)));
  int entries = 0;
  for (int i = 0; i < count; i++)
    if (ItemPointerIsValid(&targets[i].place)) order[entries++] = &targets[i];
  std::sort(order, order + entries,
            [](Target* left, Target* right) { return ItemPointerCompare(&left->place, &right->place) < 0; });
  for (int i = 0; i < entries; i++) {
    CHECK_FOR_INTERRUPTS();
    order[i]->unknown = !finder->follow(&order[i]->place);
  }
  pfree(order);
}

TupleDesc with_place(TupleDesc description) {
  TupleDesc placed = CreateTemplateTupleDesc(description->natts + 1);
  for (int i = 1; i <= description->natts; i++)
    TupleDescCopyEntry(placed, static_cast<AttrNumber>(i), description, static_cast<AttrNumber>(i));
  TupleDescInitEntry(placed, static_cast<AttrNumber>(placed->natts), "anabranch_place", TIDOID, -1, 0);
  return placed;
}

}  // namespace

PlacedRows place_rows(const Copy* copy, TupleDesc description, Tuplestorestate* folded) {
  LockDatabaseObject(RelationRelationId, copy->state, lock_of_merges, ExclusiveLock);
  PlacedRows placed = {with_place(description), tuplestore_begin_heap(false, false, work_mem)};
  const auto columns = static_cast<size_t>(description->natts);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * (columns + 1)));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * (columns + 1)));
  auto* targets = static_cast<Target*>(palloc(sizeof(Target) * chunk_rows));
  TupleTableSlot* row = MakeSingleTupleTableSlot(description, &TTSOpsMinimalTuple);
  const int ahead = tuplestore_alloc_read_pointer(folded, 0);
  Finder finder;
  finder.open(copy, description);
  for (int count = chunk_rows; count == chunk_rows;) {
    tuplestore_select_read_pointer(folded, ahead);
    for (count = 0; count < chunk_rows && tuplestore_gettupleslot(folded, true, false, row); count++)
      targets[count] = {finder.last_entry(row), false};
    follow_entries(&finder, targets, count);
    tuplestore_select_read_pointer(folded, 0);
    for (int i = 0; i < count; i++) {
      CHECK_FOR_INTERRUPTS();
      if (!tuplestore_gettupleslot(folded, true, false, row)) elog(ERROR, "a folded row is gone");
      if (targets[i].unknown) targets[i].place = finder.walk(row);
      slot_getallattrs(row);
      memcpy(values, row->tts_values, sizeof(Datum) * columns);
      memcpy(nulls, row->tts_isnull, sizeof(bool) * columns);
      values[columns] = PointerGetDatum(&targets[i].place);
      nulls[columns] = !ItemPointerIsValid(&targets[i].place);
      tuplestore_putvalues(placed.rows, placed.description, values, nulls);
    }
  }
  finder.close();
  ExecDropSingleTupleTableSlot(row);
  return placed;
}

}  // namespace anabranch
