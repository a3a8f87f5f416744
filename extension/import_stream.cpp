// import_stream(prefix, columns): a table of the schema anabranch_stream, whose rows the decoder makes of messages
// (decoder/stream.hpp). It belongs to the caller, who may grant on it and drop it as any table.
//
// What the caller wrote is parsed, and the table is made of names and types alone, which are printed anew: the
// statement runs as the extension's owner.
#include "extension/postgres.hpp"

extern "C" {
#include <nodes/value.h>
#include <parser/parse_type.h>
#include <parser/parser.h>
}

#include "decoder/stream.hpp"
#include "extension/elevated.hpp"
#include "extension/publication.hpp"

namespace anabranch {
namespace {

constexpr const char* hint =
    "Write names and types, as in 'id bigint, amount numeric, at timestamptz'; the types are those of boolean, "
    "numbers, "
    "text, bytea, times, uuid, inet, json and jsonb.";

[[noreturn]] void refuse_columns(const char* what) {
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("columns of a stream: %s", what), errhint("%s", hint)));
  pg_unreachable();
}

// "name type", quoted where SQL needs it.
const char* print_column(Node* element) {
  if (!IsA(element, ColumnDef)) refuse_columns("constraints and LIKE are not for streams");
  auto* column = reinterpret_cast<ColumnDef*>(element);
  if (column->constraints != NIL || column->collClause != nullptr || column->fdwoptions != NIL ||
      column->compression != nullptr)
    refuse_columns(psprintf("\"%s\" has more than a name and a type", column->colname));
  Oid type;
  int32 modifier;
  typenameTypeIdAndMod(nullptr, column->typeName, &type, &modifier);
  if (column->typeName->setof || !is_stream_type(type))
    refuse_columns(
        psprintf("\"%s\" has the type %s, which a stream cannot have", column->colname, format_type_be(type)));
  return psprintf("%s %s", quote_identifier(column->colname), format_type_with_typemod(type, modifier));
}

const char* print_columns(const char* columns) {
  // Nothing but a list of columns may come of it: what closes the parenthesis early makes more than that.
  List* statements = raw_parser(psprintf("CREATE TABLE stream (%s\n)", columns), RAW_PARSE_DEFAULT);
  Node* statement = list_length(statements) == 1 ? linitial_node(RawStmt, statements)->stmt : nullptr;
  if (statement == nullptr || !IsA(statement, CreateStmt)) refuse_columns("there is more than columns");
  auto* create = reinterpret_cast<CreateStmt*>(statement);
  if (create->tableElts == NIL) refuse_columns("there are none");
  if (create->inhRelations != NIL || create->partspec != nullptr || create->options != NIL ||
      create->tablespacename != nullptr || create->accessMethod != nullptr)
    refuse_columns("there is more than columns");
  StringInfoData printed;
  initStringInfo(&printed);
  ListCell* cell;
  foreach (cell, create->tableElts)
    appendStringInfo(&printed, "%s%s", printed.len == 0 ? "" : ", ", print_column(static_cast<Node*>(lfirst(cell))));
  return printed.data;
}

void check_prefix(const char* prefix) {
  const size_t size = strlen(prefix);
  if (size == 0 || size >= NAMEDATALEN)
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
                    errmsg("the prefix of a stream has %zu bytes, and must have 1 to %d", size, NAMEDATALEN - 1)));
  if (strchr(prefix, ':') != nullptr)
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("the prefix \"%s\" of a stream has a colon", prefix),
                    errdetail("What stands behind the first colon of a message's prefix is its key.")));
  if (strcmp(prefix, "anabranch") == 0)
    ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME), errmsg("the prefix \"anabranch\" is reserved")));
}

Oid import_stream(const char* prefix, const char* columns) {
  check_prefix(prefix);
  const char* printed = print_columns(columns);
  const Oid caller = GetUserId();
  const char* name = psprintf("%s.%s", stream_schema, quote_identifier(prefix));
  const char* comment = psprintf("messages of the prefix %s as rows: pg_logical_emit_message(true, %s, json)",
                                 quote_literal_cstr(prefix), quote_literal_cstr(prefix));
  as_extension_owner([&] {
    for (const char* statement :
         {psprintf("CREATE TABLE %s (%s)", name, printed), psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", name),
          psprintf("COMMENT ON TABLE %s IS %s", name, quote_literal_cstr(comment)),
          psprintf("ALTER TABLE %s OWNER TO %s", name, quote_identifier(GetUserNameFromId(caller, false)))}) {
      const int result = SPI_execute(statement, false, 0);
      if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
    }
  });
  const Oid stream = get_relname_relid(prefix, get_namespace_oid(stream_schema, false));
  publish_table(stream);
  return stream;
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_import_stream);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// import_stream(prefix text, columns text) -> regclass
Datum anabranch_import_stream(PG_FUNCTION_ARGS) {
  PG_RETURN_OID(import_stream(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1))));
}
