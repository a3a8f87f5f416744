// census(numeric, integer): how many values are NaN, Infinity, -Infinity, and have display scale 0, 1, 2, ..., each
// with its weight. Trailing zeros are left off, so equal contents are equal arrays.
//
// A sum of numerics shows as many digits behind the point as the one addend with the most, and an average is computed
// from that; so when the last value of some scale goes, what is left must show fewer.
#include "extension/postgres.hpp"

extern "C" {
#include <utils/array.h>
}

namespace anabranch {
namespace {

// Places in the array, from 0. There for good: state tables and views hold them.
enum Place { not_a_number = 0, infinity = 1, minus_infinity = 2, scale_0 = 3 };

// Most groups need no more places than `first` has: one look into memory a row, where there are many groups.
struct Census {
  MemoryContext context;
  int64* counts;
  int size;
  int64 first[6];
};
constexpr int first_size = static_cast<int>(lengthof(Census::first));

Census* new_census(MemoryContext context) {
  auto* census = static_cast<Census*>(MemoryContextAllocZero(context, sizeof(Census)));
  census->context = context;
  census->counts = census->first;
  census->size = first_size;
  return census;
}

void reserve(Census* census, int size) {
  if (size <= census->size) return;
  const int wanted = Max(size, 2 * census->size);
  auto* counts =
      static_cast<int64*>(MemoryContextAllocZero(census->context, sizeof(int64) * static_cast<size_t>(wanted)));
  memcpy(counts, census->counts, sizeof(int64) * static_cast<size_t>(census->size));
  if (census->counts != census->first) pfree(census->counts);
  census->counts = counts;
  census->size = wanted;
}

// By the first two bytes of the value as it is stored: there for good, since pg_upgrade keeps the tables. Asking
// numeric.c would copy each value, to align it.
int place_of(const struct varlena* value) {
  uint16 header;
  memcpy(&header, VARDATA_ANY(value), sizeof header);
  switch (header & 0xF000) {
    case 0xC000:
      return not_a_number;
    case 0xD000:
      return infinity;
    case 0xF000:
      return minus_infinity;
  }
  const bool is_short = (header & 0xC000) == 0x8000;
  return scale_0 + (is_short ? (header & 0x1F80) >> 7 : header & 0x3FFF);
}

Datum to_array(const int64* counts, int size) {
  while (size > 0 && counts[size - 1] == 0) size--;
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<size_t>(size + 1)));
  for (int i = 0; i < size; i++) values[i] = Int64GetDatum(counts[i]);
  return PointerGetDatum(construct_array(values, size, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

int size_of(const ArrayType* array) {
  if (ARR_NDIM(array) == 0) return 0;
  if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != INT8OID)
    ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("counts are one-dimensional and without NULL")));
  return ARR_DIMS(array)[0];
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_census_step);
PG_FUNCTION_INFO_V1(anabranch_census_combine);
PG_FUNCTION_INFO_V1(anabranch_census_serialize);
PG_FUNCTION_INFO_V1(anabranch_census_deserialize);
PG_FUNCTION_INFO_V1(anabranch_census_result);
PG_FUNCTION_INFO_V1(anabranch_add_counts);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// census_step(internal, numeric, integer) -> internal
Datum anabranch_census_step(PG_FUNCTION_ARGS) {
  MemoryContext context;
  if (!AggCheckCallContext(fcinfo, &context)) elog(ERROR, "census_step called in non-aggregate context");
  auto* census = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Census*>(PG_GETARG_POINTER(0));
  if (census == nullptr) census = new_census(context);
  if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2)) {
    const int place = place_of(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1)));
    reserve(census, place + 1);
    census->counts[place] += PG_GETARG_INT32(2);
  }
  PG_RETURN_POINTER(census);
}

// census_combine(internal, internal) -> internal: of two parallel workers
Datum anabranch_census_combine(PG_FUNCTION_ARGS) {
  MemoryContext context;
  if (!AggCheckCallContext(fcinfo, &context)) elog(ERROR, "census_combine called in non-aggregate context");
  auto* left = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Census*>(PG_GETARG_POINTER(0));
  const auto* right = PG_ARGISNULL(1) ? nullptr : reinterpret_cast<Census*>(PG_GETARG_POINTER(1));
  if (left == nullptr && right == nullptr) PG_RETURN_NULL();
  if (left == nullptr) left = new_census(context);
  if (right != nullptr) {
    reserve(left, right->size);
    for (int i = 0; i < right->size; i++) left->counts[i] += right->counts[i];
  }
  PG_RETURN_POINTER(left);
}

// census_serialize(internal) -> bytea, census_deserialize(bytea, internal) -> internal: the counts, from one process of
// a server to another
Datum anabranch_census_serialize(PG_FUNCTION_ARGS) {
  const auto* census = reinterpret_cast<Census*>(PG_GETARG_POINTER(0));
  const size_t size = sizeof(int64) * static_cast<size_t>(census->size);
  auto* bytes = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(bytes, VARHDRSZ + size);
  memcpy(VARDATA(bytes), census->counts, size);
  PG_RETURN_BYTEA_P(bytes);
}

Datum anabranch_census_deserialize(PG_FUNCTION_ARGS) {
  if (!AggCheckCallContext(fcinfo, nullptr)) elog(ERROR, "census_deserialize called in non-aggregate context");
  const bytea* bytes = PG_GETARG_BYTEA_PP(0);
  const size_t size = VARSIZE_ANY_EXHDR(bytes);
  Census* census = new_census(CurrentMemoryContext);
  reserve(census, static_cast<int>(size / sizeof(int64)));
  memcpy(census->counts, VARDATA_ANY(bytes), size);
  PG_RETURN_POINTER(census);
}

// census_result(internal) -> bigint[]
Datum anabranch_census_result(PG_FUNCTION_ARGS) {
  auto* census = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Census*>(PG_GETARG_POINTER(0));
  return census == nullptr ? to_array(nullptr, 0) : to_array(census->counts, census->size);
}

// add_counts(bigint[], bigint[]) -> bigint[]: element by element, the shorter one continued with zeros
Datum anabranch_add_counts(PG_FUNCTION_ARGS) {
  ArrayType* left = PG_GETARG_ARRAYTYPE_P(0);
  ArrayType* right = PG_GETARG_ARRAYTYPE_P(1);
  const int left_size = size_of(left);
  const int right_size = size_of(right);
  const int size = Max(left_size, right_size);
  auto* counts = static_cast<int64*>(palloc0(sizeof(int64) * static_cast<size_t>(size + 1)));
  const auto* left_counts = reinterpret_cast<int64*>(ARR_DATA_PTR(left));
  const auto* right_counts = reinterpret_cast<int64*>(ARR_DATA_PTR(right));
  for (int i = 0; i < left_size; i++) counts[i] += left_counts[i];
  for (int i = 0; i < right_size; i++) counts[i] += right_counts[i];
  return to_array(counts, size);
}
