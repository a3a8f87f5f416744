// Which relations are published, and how: what the publications of the session say about a relation, as the catalogs
// stood at the point of the log that is being decoded.
//
// The rules are pgoutput's: tables, schemas and all tables; a partition is published with its ancestors; with
// publish_via_partition_root under the topmost published ancestor; several publications add up. Where pgoutput would
// raise, and so repeat for ever (a publication that does not exist, column lists that differ between publications), the
// result is defined instead: a missing publication selects nothing, and of several column lists every column of any is
// sent.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

// What is published of one relation.
struct Selection {
  bool inserts = false;
  bool updates = false;
  bool deletes = false;
  bool truncates = false;
  Oid published_as = InvalidOid;  // the relation itself or an ancestor of it
  Bitmapset* columns = nullptr;   // attribute numbers in that relation; null: all
  // Row filters per operation over the columns of `published_as`, joined by OR; null: every row.
  Node* insert_filter = nullptr;
  Node* update_filter = nullptr;
  Node* delete_filter = nullptr;

  bool any() const { return inserts || updates || deletes || truncates; }
  bool has_filter() const { return insert_filter || update_filter || delete_filter; }
};

// Reads the catalogs. `publications` is a list of names; the result is in the current memory context.
Selection select_relation(List* publications, Oid relation);

}  // namespace anabranch
