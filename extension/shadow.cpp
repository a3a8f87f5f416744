#include "extension/shadow.hpp"

extern "C" {
#include <catalog/pg_collation.h>
#include <utils/ruleutils.h>
}

#include "extension/elevated.hpp"

namespace anabranch {
namespace {

bool same_columns(TupleDesc left, TupleDesc right) {
  if (left->natts != right->natts) return false;
  for (int i = 0; i < left->natts; i++) {
    Form_pg_attribute l = TupleDescAttr(left, i);
    Form_pg_attribute r = TupleDescAttr(right, i);
    if (l->attisdropped != r->attisdropped) return false;
    if (l->attisdropped) continue;
    if (strcmp(NameStr(l->attname), NameStr(r->attname)) != 0 || l->atttypid != r->atttypid ||
        l->atttypmod != r->atttypmod || l->attcollation != r->attcollation)
      return false;
  }
  return true;
}

void run(const char* statement) {
  const int result = SPI_execute(statement, false, 0);
  if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

// Creates anabranch.<name> with the columns of `source`. A dropped column is created as a placeholder and dropped: that
// is the only way to an attribute number without a column.
void create_shadow(TupleDesc source, const char* name) {
  StringInfoData create, drop;
  initStringInfo(&create);
  initStringInfo(&drop);
  appendStringInfo(&create, "CREATE TABLE anabranch.%s (", name);
  for (int i = 0; i < source->natts; i++) {
    Form_pg_attribute column = TupleDescAttr(source, i);
    if (i > 0) appendStringInfoString(&create, ", ");
    if (column->attisdropped) {
      appendStringInfo(&create, "\"....anabranch.dropped.%d....\" pg_catalog.int4", i + 1);
      appendStringInfo(&drop, "%s DROP COLUMN \"....anabranch.dropped.%d....\"", drop.len > 0 ? "," : "", i + 1);
      continue;
    }
    appendStringInfo(&create, "%s %s", quote_identifier(NameStr(column->attname)),
                     format_type_extended(column->atttypid, column->atttypmod,
                                          FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
    if (OidIsValid(column->attcollation) && column->attcollation != get_typcollation(column->atttypid))
      appendStringInfo(&create, " COLLATE %s", generate_collation_name(column->attcollation));
  }
  appendStringInfoString(&create, ")");
  run(create.data);
  if (drop.len > 0) run(psprintf("ALTER TABLE anabranch.%s%s", name, drop.data));
  run(psprintf("COMMENT ON TABLE anabranch.%s IS 'columns of a source, without rows; made and kept by anabranch'",
               name));
}

Oid in_our_schema(const char* name) {
  return get_relname_relid(name, get_namespace_oid("anabranch", false));
}

// True if the shadow had to be made anew. Every definition that named the old one then names the new one.
bool renew_shadow(Oid relation, Oid shadow) {
  Relation source = table_open(relation, AccessShareLock);
  Relation old = table_open(shadow, AccessShareLock);
  const bool same = same_columns(RelationGetDescr(source), RelationGetDescr(old));
  const char* name = pstrdup(RelationGetRelationName(old));
  table_close(old, NoLock);
  if (!same) {
    run(psprintf("DROP TABLE anabranch.%s", name));
    create_shadow(RelationGetDescr(source), name);
    run(
        psprintf("UPDATE anabranch.definition_source SET shadow = %u::pg_catalog.regclass WHERE shadow = "
                 "%u::pg_catalog.regclass",
                 in_our_schema(name), shadow));
  }
  table_close(source, NoLock);
  return !same;
}

Oid known_shadow(Oid relation) {
  run(
      psprintf("SELECT shadow FROM anabranch.definition_source AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.shadow "
               "WHERE relation = %u::pg_catalog.regclass LIMIT 1",
               relation));
  if (SPI_processed == 0) return InvalidOid;
  bool is_null;
  return DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

const char* next_name() {
  run("SELECT 'shadow_' || pg_catalog.nextval('anabranch.shadow_number')");
  return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

}  // namespace

Oid shadow_for(Oid relation) {
  Oid shadow = InvalidOid;
  as_extension_owner([&] {
    shadow = known_shadow(relation);
    const char* name = OidIsValid(shadow) ? get_rel_name(shadow) : next_name();
    if (OidIsValid(shadow)) {
      renew_shadow(relation, shadow);
    } else {
      Relation source = table_open(relation, AccessShareLock);
      create_shadow(RelationGetDescr(source), name);
      table_close(source, NoLock);
    }
    shadow = in_our_schema(name);
    run(psprintf("SELECT anabranch.note_leaves(%u)", relation));
  });
  return shadow;
}

}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_shadow_for);
PG_FUNCTION_INFO_V1(anabranch_renew_shadow);
}
ANABRANCH_EXPORTS_END

// shadow_for(relation oid) -> regclass
Datum anabranch_shadow_for(PG_FUNCTION_ARGS) {
  PG_RETURN_OID(anabranch::shadow_for(PG_GETARG_OID(0)));
}

// renew_shadow(relation oid, shadow oid) -> boolean: true if the shadow differed and was made anew
Datum anabranch_renew_shadow(PG_FUNCTION_ARGS) {
  const Oid relation = PG_GETARG_OID(0);
  const Oid shadow = PG_GETARG_OID(1);
  bool renewed = false;
  anabranch::as_extension_owner([&] { renewed = anabranch::renew_shadow(relation, shadow); });
  PG_RETURN_BOOL(renewed);
}
