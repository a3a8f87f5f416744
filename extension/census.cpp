// census(numeric, integer): how many values are NaN, Infinity, -Infinity, and have display scale 0, 1, 2, ..., each
// with its weight. Trailing zeros are left off, so equal contents are equal arrays.
//
// A sum of numerics shows as many digits behind the point as the one addend with the most, and an average is computed
// from that; so when the last value of some scale goes, what is left must show fewer.
#include "extension/postgres.hpp"

extern "C" {
#include <utils/array.h>
#include <utils/fmgrprotos.h>
#include <utils/numeric.h>
}

namespace anabranch {
namespace {

// Places in the array, from 0. There for good: state tables and views hold them.
enum Place { not_a_number = 0, infinity = 1, minus_infinity = 2, scale_0 = 3 };

struct Census {
  MemoryContext context;
  int size;
  int64* counts;
};

void reserve(Census* census, int size) {
  if (size <= census->size) return;
  const int wanted = Max(size, 2 * census->size);
  MemoryContext outside = MemoryContextSwitchTo(census->context);
  auto* counts = static_cast<int64*>(palloc0(sizeof(int64) * static_cast<size_t>(wanted)));
  if (census->size > 0) {
    memcpy(counts, census->counts, sizeof(int64) * static_cast<size_t>(census->size));
    pfree(census->counts);
  }
  MemoryContextSwitchTo(outside);
  census->counts = counts;
  census->size = wanted;
}

int place_of(Numeric value) {
  if (numeric_is_nan(value)) return not_a_number;
  if (!numeric_is_inf(value))
    return scale_0 + DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(value)));
  const Datum zero = NumericGetDatum(int64_to_numeric(0));
  return DatumGetBool(DirectFunctionCall2(numeric_gt, NumericGetDatum(value), zero)) ? infinity : minus_infinity;
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
  if (census == nullptr) {
    census = static_cast<Census*>(MemoryContextAllocZero(context, sizeof(Census)));
    census->context = context;
  }
  if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2)) {
    const int place = place_of(PG_GETARG_NUMERIC(1));
    reserve(census, place + 1);
    census->counts[place] += PG_GETARG_INT32(2);
  }
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
