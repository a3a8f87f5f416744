// What an event trigger in SQL cannot see: which columns an ALTER TABLE has given a new type, and by which expression.
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

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_retyped_columns);
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
