#include "extension/postgres.hpp"

#include "decoder/relation.hpp"

#include "decoder/description.hpp"
#include "decoder/guard.hpp"

namespace anabranch {

namespace {

// What the invalidation callbacks work on; they cannot be unregistered.
RelationCache* live_cache = nullptr;

void on_relation(Datum, Oid relation) {
  if (live_cache) live_cache->invalidate(relation);
}

void on_catalog(Datum, int cache, uint32) {
  if (live_cache) live_cache->invalidate_all(cache == TYPEOID);
}

void on_context_gone(void* cache) {
  if (live_cache == cache) live_cache = nullptr;
}

void register_callbacks() {
  static bool is_done = false;
  if (is_done) return;
  is_done = true;
  CacheRegisterRelcacheCallback(on_relation, Datum{0});
  for (int cache : {PUBLICATIONOID, PUBLICATIONRELMAP, PUBLICATIONNAMESPACEMAP, NAMESPACEOID, TYPEOID})
    CacheRegisterSyscacheCallback(cache, on_catalog, Datum{0});
}

template <typename Entry>
HTAB* make_table(const char* name, MemoryContext context) {
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(Entry);
  control.hcxt = context;
  return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

template <typename Entry>
Entry* look_up(HTAB* table, Oid oid, HASHACTION action, bool* found = nullptr) {
  return static_cast<Entry*>(hash_search(table, &oid, action, found));
}

template <typename Entry, typename Body>
void for_each(HTAB* table, Body body) {
  HASH_SEQ_STATUS status;
  hash_seq_init(&status, table);
  while (auto* entry = static_cast<Entry*>(hash_seq_search(&status))) body(entry);
}

// From the attributes of the publishing root to those of the relation, by name; null where they are the same relation.
// Partitions may number their columns differently and have dropped ones in other places.
AttrMap* map_attributes(TupleDesc root, TupleDesc own) {
  AttrMap* map = make_attrmap(root->natts);
  for (int i = 0; i < root->natts; ++i) {
    Form_pg_attribute wanted = TupleDescAttr(root, i);
    if (wanted->attisdropped) continue;
    for (int step = 0; step < own->natts; ++step) {
      int j = (i + step) % own->natts;  // mostly the same place
      Form_pg_attribute attribute = TupleDescAttr(own, j);
      if (attribute->attisdropped || strcmp(NameStr(attribute->attname), NameStr(wanted->attname)) != 0) continue;
      map->attnums[i] = static_cast<AttrNumber>(j + 1);
      break;
    }
  }
  return map;
}

struct TypeRequest {
  Oid type;
  MemoryContext context;
  ValueType result;
};

// The output function of a type may be gone (its library was removed): such a column is described all the same, and
// what it holds is omitted value by value.
void describe_type(Oid type, Column* column) {
  TypeRequest request{type, CurrentMemoryContext, {}};
  if (type < FirstNormalObjectId) {
    column->type = describe_value(type, CurrentMemoryContext);
    return;
  }
  auto describe = [](void* argument) {
    auto* at = static_cast<TypeRequest*>(argument);
    at->result = describe_value(at->type, at->context);
  };
  Failure failure;
  if (guard_in_subtransaction(describe, &request, false, &failure)) {
    column->type = request.result;
    return;
  }
  bool is_varlena;
  column->has_failed = true;
  column->type.type = type;
  column->type.context = CurrentMemoryContext;
  column->type.encoding = classify_type(type, &column->type.base);
  column->type.length = get_typlen(column->type.base);
  getTypeOutputInfo(column->type.base, &column->type.output.fn_oid, &is_varlena);
}

// The columns of an index, with the offset of the relation cache; null: there is no such index. Takes no locks, as is
// right while decoding.
Bitmapset* columns_of(Oid index_oid) {
  if (!OidIsValid(index_oid)) return nullptr;
  Relation index = RelationIdGetRelation(index_oid);
  if (index == nullptr) return nullptr;
  Bitmapset* columns = nullptr;
  for (int i = 0; i < index->rd_index->indnkeyatts; ++i)
    columns = bms_add_member(columns, index->rd_index->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
  RelationClose(index);
  return columns;
}

// The relation's own columns that stand in an old row.
Bitmapset* identity_of(Relation relation) {
  char kind = relation->rd_rel->relreplident;
  if (kind == REPLICA_IDENTITY_FULL || kind == REPLICA_IDENTITY_NOTHING) return nullptr;
  return columns_of(RelationGetReplicaIndex(relation));
}

// The columns of a relation's primary key. A deferrable key counts for none.
Bitmapset* primary_key_of(Relation relation) {
  return columns_of(RelationGetPrimaryKeyIndex(relation, false));
}

void make_columns(RelationEntry* entry, Relation relation, Relation root, const AttrMap* map) {
  TupleDesc shape = RelationGetDescr(root);
  entry->columns = static_cast<Column*>(palloc0(sizeof(Column) * Max(shape->natts, 1)));
  entry->identity = static_cast<Column*>(palloc0(sizeof(Column) * Max(shape->natts, 1)));
  entry->column_count = entry->identity_count = 0;
  entry->has_user_types = false;
  Bitmapset* identity = identity_of(relation);
  Bitmapset* primary_key = primary_key_of(root);
  for (int i = 0; i < shape->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(shape, i);
    if (attribute->attisdropped || attribute->attgenerated) continue;
    if (entry->selection.columns && !bms_is_member(attribute->attnum, entry->selection.columns)) continue;
    int number = map ? map->attnums[i] : i + 1;
    if (number == 0) continue;
    Column* column = &entry->columns[entry->column_count++];
    *column = Column{};
    column->number = static_cast<uint32_t>(attribute->attnum);
    column->source = number - 1;
    column->is_varlena = attribute->attlen == -1;
    column->in_identity = entry->replica_identity == REPLICA_IDENTITY_FULL ||
                          bms_is_member(number - FirstLowInvalidHeapAttributeNumber, identity);
    column->in_primary_key = bms_is_member(attribute->attnum - FirstLowInvalidHeapAttributeNumber, primary_key);
    describe_type(attribute->atttypid, column);
    entry->has_user_types |= attribute->atttypid >= FirstNormalObjectId;
    if (column->in_identity) entry->identity[entry->identity_count++] = *column;
  }
}

Tuple allocate_tuple(int attribute_count) {
  Tuple tuple;
  tuple.values = static_cast<Datum*>(palloc(sizeof(Datum) * Max(attribute_count, 1)));
  tuple.nulls = static_cast<bool*>(palloc(sizeof(bool) * Max(attribute_count, 1)));
  return tuple;
}

}  // namespace

void RelationCache::open(MemoryContext context, List* publications) {
  context_ = context;
  publications_ = publications;
  last_ = nullptr;
  entries_ = make_table<RelationEntry>("anabranch relations", context);
  described_ = make_table<Described>("anabranch described relations", context);
  auto* callback = static_cast<MemoryContextCallback*>(MemoryContextAllocZero(context, sizeof(MemoryContextCallback)));
  callback->func = on_context_gone;
  callback->arg = this;
  MemoryContextRegisterResetCallback(context, callback);
  live_cache = this;
  register_callbacks();
}

RelationEntry* RelationCache::find(Relation relation) {
  Oid oid = RelationGetRelid(relation);
  if (last_ && last_->oid == oid && last_->is_valid) return last_;
  bool found;
  auto* entry = look_up<RelationEntry>(entries_, oid, HASH_ENTER, &found);
  if (!found) {
    *entry = RelationEntry{};
    entry->oid = oid;
  }
  if (!entry->is_valid) make(entry, relation);
  last_ = entry;
  return entry;
}

void RelationCache::make(RelationEntry* entry, Relation relation) {
  // Set first: an invalidation that comes while the catalogs are read must not be lost.
  entry->is_valid = true;
  entry->is_described = false;
  if (entry->context) MemoryContextDelete(entry->context);
  entry->context = nullptr;
  entry->context = AllocSetContextCreate(context_, "anabranch relation", ALLOCSET_SMALL_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(entry->context);

  entry->selection = Selection{};
  entry->filter = nullptr;
  if (is_publishable_relation(relation)) entry->selection = select_relation(publications_, entry->oid);
  Relation root = relation;
  if (entry->selection.any() && entry->selection.published_as != entry->oid) {
    root = RelationIdGetRelation(entry->selection.published_as);
    if (root == nullptr) entry->selection = Selection{};
  }
  if (entry->selection.any()) {
    entry->replica_identity = relation->rd_rel->relreplident;
    entry->descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
    AttrMap* map = root == relation ? nullptr : map_attributes(RelationGetDescr(root), entry->descriptor);
    make_columns(entry, relation, root, map);
    if (entry->selection.has_filter()) entry->filter = make_row_filter(entry->selection, root, map);
    entry->description = describe_relation(root, entry->replica_identity, entry->columns, entry->column_count);
    entry->before_tuple = allocate_tuple(entry->descriptor->natts);
    entry->after_tuple = allocate_tuple(entry->descriptor->natts);
    entry->before.allocate(Max(entry->column_count, 1));
    entry->after.allocate(Max(entry->column_count, 1));
  }
  if (root != relation && root != nullptr) RelationClose(root);
  MemoryContextSwitchTo(caller);
}

bool RelationCache::must_describe(RelationEntry* entry) {
  if (entry->is_described) return false;
  bool found;
  Oid oid = entry->selection.published_as;
  auto* described = look_up<Described>(described_, oid, HASH_ENTER, &found);
  if (!found) {
    described->is_known = false;
    described->bytes = nullptr;
    described->size = 0;
  }
  bool is_same = described->is_known && std::string_view(described->bytes, described->size) == entry->description;
  if (!is_same) {
    // Partitions of one root may differ in replica identity: the last description sent is the one that counts.
    for_each<RelationEntry>(entries_, [oid](RelationEntry* other) {
      if (other->selection.published_as == oid) other->is_described = false;
    });
    if (described->bytes) pfree(described->bytes);
    described->is_known = true;
    described->size = entry->description.size();
    described->bytes = static_cast<char*>(MemoryContextAlloc(context_, Max(described->size, size_t{1})));
    memcpy(described->bytes, entry->description.data(), described->size);
  }
  entry->is_described = true;
  return !is_same;
}

Oid RelationCache::take_unselected(RelationEntry* entry) {
  Oid now = entry->selection.any() ? entry->selection.published_as : InvalidOid;
  Oid before = entry->published_as;
  entry->published_as = now;
  if (before == now || !OidIsValid(before)) return InvalidOid;
  auto* described = look_up<Described>(described_, before, HASH_FIND);
  if (described == nullptr || !described->is_known) return InvalidOid;
  // A partition may have left a root that is still published.
  if (get_rel_relkind(before) != '\0') {
    Selection selection = select_relation(publications_, before);
    if (selection.any() && selection.published_as == before) return InvalidOid;
  }
  described->is_known = false;
  for_each<RelationEntry>(entries_, [before](RelationEntry* other) {
    if (other->selection.published_as == before) other->is_described = false;
  });
  return before;
}

void RelationCache::invalidate(Oid relation) {
  if (!OidIsValid(relation)) return invalidate_all(false);
  if (auto* entry = look_up<RelationEntry>(entries_, relation, HASH_FIND)) entry->is_valid = false;
  // A root's name and columns stand in the descriptions that its partitions are sent under.
  if (look_up<Described>(described_, relation, HASH_FIND) == nullptr) return;
  for_each<RelationEntry>(entries_, [relation](RelationEntry* entry) {
    if (entry->selection.published_as == relation) entry->is_valid = false;
  });
}

void RelationCache::invalidate_all(bool only_user_types) {
  for_each<RelationEntry>(entries_, [only_user_types](RelationEntry* entry) {
    if (!only_user_types || entry->has_user_types) entry->is_valid = false;
  });
}

}  // namespace anabranch
