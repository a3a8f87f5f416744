// What an event trigger in SQL cannot see: which columns an ALTER TABLE has given a new type, and by which expression;
// which types have got other labels or attributes.
#include "extension/postgres.hpp"

extern "C" {
#include <nodes/parsenodes.h>
#include <tcop/deparse_utility.h>
}

namespace anabranch {
namespace {

// A new value for each row (USING) changes what the column holds even where its type stays the same.
bool has_expression(const AlterTableCmd* command) {
  if (command->def == nullptr || !IsA(command->def, ColumnDef)) return false;
  const ColumnDef* column = reinterpret_cast<const ColumnDef*>(command->def);
  return column->raw_default != nullptr || column->cooked_default != nullptr;
}

// Whether the row type of the relation has other attributes afterwards.
bool reshapes(const AlterTableCmd* command) {
  return adds_or_drops_column(command->subtype) || command->subtype == AT_AlterColumnType;
}

void put_type(ReturnSetInfo* result, Oid type) {
  if (type == InvalidOid) return;
  Datum value = ObjectIdGetDatum(type);
  bool null = false;
  tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_retyped_columns);
PG_FUNCTION_INFO_V1(anabranch_reshaped_types);
}
ANABRANCH_EXPORTS_END

// retyped_columns(pg_ddl_command) -> setof (relation oid, number int2, by_expression boolean)
//
// The columns that this command has given a type, in every relation it recursed to.
Datum anabranch_retyped_columns(PG_FUNCTION_ARGS) {
  const CollectedCommand* command = reinterpret_cast<const CollectedCommand*>(PG_GETARG_POINTER(0));
  InitMaterializedSRF(fcinfo, 0);
  if (command->type != SCT_AlterTable) return static_cast<Datum>(0);
  ReturnSetInfo* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  ListCell* cell;
  foreach (cell, command->d.alterTable.subcmds) {
    const CollectedATSubcmd* part = static_cast<const CollectedATSubcmd*>(lfirst(cell));
    const AlterTableCmd* step = reinterpret_cast<const AlterTableCmd*>(part->parsetree);
    if (!IsA(step, AlterTableCmd) || step->subtype != AT_AlterColumnType) continue;
    Datum values[3] = {ObjectIdGetDatum(part->address.objectId),
                       Int16GetDatum(static_cast<int16>(part->address.objectSubId)),
                       BoolGetDatum(anabranch::has_expression(step))};
    bool nulls[3] = {false, false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return static_cast<Datum>(0);
}

// reshaped_types(pg_ddl_command) -> setof oid
//
// Types whose values read or print otherwise since this command: enums with a renamed label, row types with other
// attributes. A label more changes nothing for the values there are.
Datum anabranch_reshaped_types(PG_FUNCTION_ARGS) {
  const CollectedCommand* command = reinterpret_cast<const CollectedCommand*>(PG_GETARG_POINTER(0));
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  ReturnSetInfo* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (command->type == SCT_AlterTable) {
    ListCell* cell;
    foreach (cell, command->d.alterTable.subcmds) {
      const CollectedATSubcmd* part = static_cast<const CollectedATSubcmd*>(lfirst(cell));
      const AlterTableCmd* step = reinterpret_cast<const AlterTableCmd*>(part->parsetree);
      if (IsA(step, AlterTableCmd) && anabranch::reshapes(step))
        anabranch::put_type(result, get_rel_type_id(part->address.objectId));
    }
  } else if (command->type == SCT_Simple && IsA(command->parsetree, AlterEnumStmt)) {
    if (reinterpret_cast<const AlterEnumStmt*>(command->parsetree)->oldVal != nullptr)
      anabranch::put_type(result, command->d.simple.address.objectId);
  } else if (command->type == SCT_Simple && IsA(command->parsetree, RenameStmt)) {
    const ObjectType renamed = reinterpret_cast<const RenameStmt*>(command->parsetree)->renameType;
    if (renamed == OBJECT_ATTRIBUTE || renamed == OBJECT_COLUMN)
      anabranch::put_type(result, get_rel_type_id(command->d.simple.address.objectId));
  }
  return static_cast<Datum>(0);
}
