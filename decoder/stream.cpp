#include "decoder/stream.hpp"

extern "C" {
#include <catalog/pg_class.h>
#include <utils/jsonb.h>
}

namespace anabranch {

namespace {

bool is_time(Oid type) {
  return type == DATEOID || type == TIMEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// What such a word means depends on when the log is decoded.
void refuse_words_of_the_day(const char* text, const char* column) {
  for (const char* at = text; *at;) {
    if (!is_letter(*at)) {
      ++at;
      continue;
    }
    size_t size = 0;
    while (is_letter(at[size])) ++size;
    for (const char* word : {"now", "today", "tomorrow", "yesterday"})
      if (strlen(word) == size && pg_strncasecmp(at, word, size) == 0)
        ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
                        errmsg("column \"%s\" of a stream cannot be \"%s\"; send the time itself", column, word)));
    at += size;
  }
}

char* text_of(JsonbValue* value, Oid type) {
  switch (value->type) {
    case jbvString:
      if (type != JSONOID) return pnstrdup(value->val.string.val, value->val.string.len);
      break;
    case jbvBool:
      return pstrdup(value->val.boolean ? "true" : "false");
    case jbvNumeric:
      return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
    case jbvBinary:
      return JsonbToCString(nullptr, value->val.binary.data, value->val.binary.len);
    default:
      break;
  }
  Jsonb* whole = JsonbValueToJsonb(value);
  return JsonbToCString(nullptr, &whole->root, VARSIZE(whole));
}

Datum value_of(JsonbValue* value, Form_pg_attribute attribute) {
  if (attribute->atttypid == JSONBOID) return JsonbPGetDatum(JsonbValueToJsonb(value));
  char* text = text_of(value, attribute->atttypid);
  if (is_time(attribute->atttypid)) refuse_words_of_the_day(text, NameStr(attribute->attname));
  Oid input, parameter;
  getTypeInputInfo(attribute->atttypid, &input, &parameter);
  return OidInputFunctionCall(input, text, parameter, attribute->atttypmod);
}

}  // namespace

bool is_stream_type(Oid type) {
  switch (type) {
    case BOOLOID:
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case BYTEAOID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case INTERVALOID:
    case UUIDOID:
    case INETOID:
    case CIDROID:
    case JSONOID:
    case JSONBOID:
      return true;
    default:
      return false;
  }
}

Relation open_stream(const char* prefix) {
  const size_t size = strcspn(prefix, ":");
  if (size == 0 || size >= NAMEDATALEN) return nullptr;
  const Oid schema = get_namespace_oid(stream_schema, true);
  if (!OidIsValid(schema)) return nullptr;
  NameData name = {};
  memcpy(NameStr(name), prefix, size);

  Relation classes = RelationIdGetRelation(RelationRelationId);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&name));
  ScanKeyInit(&keys[1], Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
  SysScanDesc scan = systable_beginscan(classes, ClassNameNspIndexId, true, nullptr, 2, keys);
  HeapTuple tuple = systable_getnext(scan);
  Oid stream = InvalidOid;
  if (HeapTupleIsValid(tuple)) {
    auto* form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    if (form->relkind == RELKIND_RELATION) stream = form->oid;
  }
  systable_endscan(scan);
  RelationClose(classes);
  return OidIsValid(stream) ? RelationIdGetRelation(stream) : nullptr;
}

void read_stream_content(std::string_view content, TupleDesc descriptor, Tuple* tuple) {
  if (!pg_verifymbstr(content.data(), static_cast<int>(content.size()), true))
    ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
                    errmsg("the content is no text in the encoding of the database")));
  Datum parsed = DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(content.data(), content.size())));
  JsonbContainer* object = &DatumGetJsonbP(parsed)->root;
  if (!JsonContainerIsObject(object))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the content is no JSON object")));
  for (int i = 0; i < descriptor->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    tuple->values[i] = Datum{0};
    tuple->nulls[i] = true;
    if (attribute->attisdropped || attribute->attgenerated) continue;
    if (!is_stream_type(attribute->atttypid))
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("column \"%s\" has a type that a stream cannot have", NameStr(attribute->attname))));
    const char* name = NameStr(attribute->attname);
    JsonbValue* value = getKeyJsonValueFromContainer(object, name, static_cast<int>(strlen(name)), nullptr);
    if (value == nullptr || value->type == jbvNull) continue;
    tuple->values[i] = value_of(value, attribute);
    tuple->nulls[i] = false;
  }
}

}  // namespace anabranch
