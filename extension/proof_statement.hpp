// The statements that compare what a copy holds with what its definition says.
#pragma once

#include "extension/postgres.hpp"

#include "extension/copy.hpp"

namespace anabranch {

/// What a comparison is made of.
struct ProofScope {
  /// The table with what should be: that of a twin of the copy, at the same position. InvalidOid: the sources are read.
  Oid expected_state = InvalidOid;
  /// There are rows in the ephemeral relations changed_1, changed_2, ...: changes that the snapshot shows in the
  /// sources and that the copy does not have yet.
  bool has_changes = false;
  /// A condition over c1, c2, ..., the columns of the state table: which groups or rows are compared. nullptr: all.
  const char* condition = nullptr;
};

/// The name of the ephemeral relation with the changes of a source.
const char* changed_name(int ordinal);

/// One row for each group, or row, that is on either side:
///
///   differs boolean, class text, key jsonb, expected jsonb, actual jsonb, expected_state text, actual_state text
///
/// All but the first are NULL where nothing differs. `key` has the group's columns; for copies of rows the row's key in
/// hexadecimal. `expected` and `actual` are rows as the copy shows them (NULL: HAVING hides the group), the last two
/// rows of the state table, as the text of its row type. `class`:
///   missing    it should be there and is not
///   extra      it is there and should not be
///   wrong      it is there with other contents
///   duplicate  it is there more than once
///
/// Method, class linear and rows that are told apart by their images: what the copy should hold now is the fold over
/// all rows of the sources, minus the changes that it does not have yet, given to the fold with their weights reversed.
/// So the changes need not be looked at group by group, and no group is too hot to be compared. Rows with keys: of
/// those the last state is known and not the one before, so what the copy will hold once it has the changes is compared
/// with what the sources hold.
///
/// Groups are matched as GROUP BY does. Counters are equal when they are the same number, and the columns of rows when
/// they have the same image or print the same. To be run as the copy's owner, with output settings pinned.
const char* proof_statement(Copy* copy, const ProofScope& scope);

/// The same summed up by buckets, for a first look: bucket bigint, for those that differ.
const char* sketch_statement(Copy* copy, const ProofScope& scope, int buckets);

/// The same of the rows that two views show, by the columns of the same name and type in both; only `expected` and
/// `actual` of them, and the class: missing (only the second view has it, perhaps several times) or extra.
const char* rows_statement(Oid view, Oid other);

/// Corrections: what has to be merged into the copy to make of `actual` what is `expected`, for each row of the
/// ephemeral relation wrong(number bigint, expected text, actual text), rows of the state table or NULL; in the columns
/// of the copy's fold, then anabranch_number. Counters are corrected by their difference, which stays right whatever
/// the stream adds meanwhile. Rows with keys are replaced, unless one of the changes in changed_1, ... (`has_changes`)
/// is of the same row: then the stream has brought, or will bring, the row as it is now.
const char* correction_statement(Copy* copy, bool has_changes);

}  // namespace anabranch
