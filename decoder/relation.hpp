// What is known of the relations whose changes arrive: selection, columns, and which descriptions the reader has.
#pragma once

#include "extension/postgres.hpp"

#include <string_view>
#include <type_traits>

#include "decoder/row.hpp"
#include "decoder/row_filter.hpp"
#include "decoder/selection.hpp"

namespace anabranch {

// One relation as it appears in the log (a leaf, where there are partitions). Lifecycle: made by the first change of
// the relation; marked invalid, and nothing else, by the invalidation callbacks, which may come while the entry is in
// use; made anew in its own memory context by the next change.
struct RelationEntry {
  Oid oid;  // hash key
  bool is_valid;
  bool has_user_types;  // their names are in the description
  bool is_described;    // the reader has this description, and none of the same root since
  Oid published_as;     // as of the last valid selection; InvalidOid: was not published
  Selection selection;
  MemoryContext context;  // of everything below
  char replica_identity;
  TupleDesc descriptor;  // of the relation's own tuples
  Column* columns;       // by number
  int column_count;
  Column* identity;  // those of them that an old row holds when it holds only a key
  int identity_count;
  RowFilter* filter;             // null: every row
  std::string_view description;  // the body of the Relation record
  Tuple before_tuple, after_tuple;
  Row before, after;
};

static_assert(std::is_trivially_destructible_v<RelationEntry>);

// All entries of a decoding session. At most one session decodes in a backend at a time.
class RelationCache {
 public:
  // The cache lives in `context`, and takes itself out of the callbacks' sight when that is deleted.
  void open(MemoryContext context, List* publications);

  // The entry for a relation, valid for the change at hand and until the next call for the same relation. Reads the
  // catalogs as of the historic snapshot when it has to be made.
  RelationEntry* find(Relation relation);

  // Whether the description has to be sent before the next change; then it counts as sent.
  bool must_describe(RelationEntry* entry);

  // The relation that a reader has to forget because `entry` is no longer published, else InvalidOid. Says it once.
  Oid take_unselected(RelationEntry* entry);

  // Callbacks.
  void invalidate(Oid relation);
  void invalidate_all(bool only_user_types);

 private:
  // What the reader was last told of a relation.
  struct Described {
    Oid oid;  // hash key
    bool is_known;
    char* bytes;
    size_t size;
  };

  void make(RelationEntry* entry, Relation relation);

  MemoryContext context_;
  List* publications_;
  HTAB* entries_;
  HTAB* described_;
  RelationEntry* last_;  // found last: changes of one relation come in runs
};

}  // namespace anabranch
