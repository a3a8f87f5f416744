// How a copy's rows are told apart, and what is compared of them: what the statements of a proof are made by.
#pragma once

#include "extension/postgres.hpp"

#include <initializer_list>

#include "extension/copy.hpp"

namespace anabranch {

/// The column that counts the rows of a group, or how often a row is there.
inline constexpr const char* rows_column = "anabranch_rows";

struct Shape {
  TupleDesc state;                   // of the state table
  int key_first = 0, key_count = 0;  // columns, from 0
  bool counted = false;              // rows told apart by their images
  bool keyed = false;                // rows with a key
};

Shape shape_of(const Copy* copy);

/// Whether the column, from 0, is one of the key's.
bool is_key(const Shape& shape, int column);

/// The columns of a table or view.
TupleDesc state_columns(Oid state);

/// "c1, c2, ..., c<count>", by another prefix.
const char* numbered(const char* prefix, int count);

/// The number of the bucket, over c1, c2, ..., that a group, or row, is in. `buckets` is a power of two.
const char* bucket_of(const Shape& shape, int buckets);

/// The key, over c1, c2, ..., as a record that can be hashed.
const char* key_record(const Shape& shape);

/// The type's equality, as an operator with its schema; nullptr: it has none.
const char* equality(Oid type);

bool is_one_of(Oid type, std::initializer_list<Oid> types);

}  // namespace anabranch
