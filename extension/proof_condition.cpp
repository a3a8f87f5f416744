#include "extension/proof_condition.hpp"

extern "C" {
#include <utils/jsonb.h>
}

#include "extension/proof_shape.hpp"
#include "extension/text.hpp"

namespace anabranch {

const char* bucket_condition(const Copy* copy, int buckets, const int64* chosen, int count) {
  const Shape shape = shape_of(copy);
  Text list;
  for (int i = 0; i < count; i++) add(list, ", ", "%lld", static_cast<long long>(chosen[i]));
  return psprintf("%s IN (%s)", bucket_of(shape, buckets), list.c_str());
}

namespace {

constexpr int keys_max = 10'000;

[[noreturn]] void refuse_keys(const char* why) {
  ereport(
      ERROR,
      (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("keys %s", why),
       errhint("Write a list of objects by column, [{\"customer\": 7}, {\"customer\": 8}], or of values where the copy "
               "has one group column, [7, 8].")));
  pg_unreachable();
}

// The state table's column of this name; 0: there is none that keys may name.
int column_named(const Shape& shape, const JsonbValue& name) {
  for (int i = 0; i < shape.state->natts; i++) {
    const char* found = NameStr(TupleDescAttr(shape.state, i)->attname);
    const bool hidden = strncmp(found, "anabranch_", 10) == 0 && !is_key(shape, i);
    if (!hidden && strlen(found) == static_cast<size_t>(name.val.string.len) &&
        memcmp(found, name.val.string.val, name.val.string.len) == 0)
      return i + 1;
  }
  return 0;
}

const char* scalar_text(const JsonbValue& value) {
  switch (value.type) {
    case jbvString:
      return pnstrdup(value.val.string.val, value.val.string.len);
    case jbvNumeric:
      return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
    case jbvBool:
      return value.val.boolean ? "true" : "false";
    case jbvBinary: {
      StringInfoData text;
      initStringInfo(&text);
      return JsonbToCString(&text, value.val.binary.data, value.val.binary.len);
    }
    default:
      return nullptr;
  }
}

const char* value_condition(TupleDesc state, int column, const JsonbValue& value) {
  const Form_pg_attribute attribute = TupleDescAttr(state, column - 1);
  if (value.type == jbvNull) return psprintf("c%d IS NULL", column);
  const char* operation = equality(attribute->atttypid);
  const char* type = format_type_extended(attribute->atttypid, attribute->atttypmod,
                                          FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
  const char* literal = quote_literal_cstr(scalar_text(value));
  if (operation == nullptr) return psprintf("c%d::text = (%s::%s)::text", column, literal, type);
  return psprintf("c%d %s %s::%s", column, operation, literal, type);
}

}  // namespace

const char* keys_condition(const Copy* copy, Datum keys) {
  const Shape shape = shape_of(copy);
  Jsonb* list = DatumGetJsonbP(keys);
  if (!JB_ROOT_IS_ARRAY(list) || JB_ROOT_IS_SCALAR(list)) refuse_keys("are not a list");
  if (JB_ROOT_COUNT(list) == 0) refuse_keys("are an empty list");
  if (JB_ROOT_COUNT(list) > keys_max) refuse_keys(psprintf("are more than %d", keys_max));
  Text all;
  for (uint32 i = 0; i < JB_ROOT_COUNT(list); i++) {
    JsonbValue* key = getIthJsonbValueFromContainer(&list->root, i);
    const bool is_object = key->type == jbvBinary && JsonContainerIsObject(key->val.binary.data);
    if (!is_object) {
      if (copy->rows_class || shape.key_count != 1) refuse_keys("do not name their columns");
      add(all, " OR ", "%s", value_condition(shape.state, shape.key_first + 1, *key));
      continue;
    }
    Text one;
    JsonbIterator* iterator = JsonbIteratorInit(key->val.binary.data);
    JsonbValue name, value;
    JsonbIteratorToken token = JsonbIteratorNext(&iterator, &name, true);
    while ((token = JsonbIteratorNext(&iterator, &name, true)) == WJB_KEY) {
      const int column = column_named(shape, name);
      if (column == 0)
        refuse_keys(psprintf("name \"%s\", which is no column the copy's rows are found by", scalar_text(name)));
      JsonbIteratorNext(&iterator, &value, true);
      add(one, " AND ", "%s", value_condition(shape.state, column, value));
    }
    if (one.empty()) refuse_keys("have an object without columns");
    add(all, " OR ", "(%s)", one.c_str());
  }
  return psprintf("(%s)", all.c_str());
}

}  // namespace anabranch
