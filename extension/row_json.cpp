#include "extension/row_json.hpp"

extern "C" {
#include <parser/parse_coerce.h>
#include <utils/datetime.h>
#include <utils/json.h>
}

namespace anabranch {

namespace {

// What to_jsonb makes of a type (jsonb_categorize_type in the server's jsonb.c).
enum class Printing {
  boolean,
  number,  // what its output function says, unless that is no number, as NaN
  moment,  // as ISO 8601
  text,    // what its output function says
  any      // to_jsonb itself is called
};

}  // namespace

struct RowJsonColumn {
  int place;          // in the row
  const char* label;  // its name as JSON, and ": "
  Oid base;           // its type, domains taken off
  Printing printing;
  FmgrInfo print;
  // For the order of the columns.
  const char* name;
  size_t name_size;
};

namespace {

bool has_cast_to_json(Oid type) {
  Oid function;
  return type >= FirstNormalObjectId &&
         find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC;
}

Printing printing_of(Oid base) {
  switch (base) {
    case BOOLOID:
      return Printing::boolean;
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
      return Printing::number;
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return Printing::moment;
    case JSONOID:
    case JSONBOID:
      return Printing::any;
    default:
      return OidIsValid(get_element_type(base)) || type_is_rowtype(base) || has_cast_to_json(base) ? Printing::any
                                                                                                   : Printing::text;
  }
}

// to_jsonb(anyelement), called with an argument of this type.
FmgrInfo to_jsonb_of(Oid type) {
  FmgrInfo function;
  fmgr_info(F_TO_JSONB, &function);
  Node* argument = reinterpret_cast<Node*>(makeNullConst(type, -1, InvalidOid));
  fmgr_info_set_expr(reinterpret_cast<Node*>(makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid,
                                                          InvalidOid, COERCE_EXPLICIT_CALL)),
                     &function);
  return function;
}

// jsonb sorts its keys by their lengths first.
int in_jsonb_order(const void* left, const void* right) {
  const auto* a = static_cast<const RowJsonColumn*>(left);
  const auto* b = static_cast<const RowJsonColumn*>(right);
  if (a->name_size != b->name_size) return a->name_size < b->name_size ? -1 : 1;
  return memcmp(a->name, b->name, a->name_size);
}

bool is_number(const char* printed) {
  return strpbrk(printed, "Nn") == nullptr;
}

// jsonb keeps numbers as numeric: that has no exponent and no negative zero.
const char* as_numeric(char* printed) {
  if (strpbrk(printed, "eE") == nullptr && strcmp(printed, "-0") != 0) return printed;
  const Datum number =
      DirectFunctionCall3(numeric_in, CStringGetDatum(printed), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
  return DatumGetCString(DirectFunctionCall1(numeric_out, number));
}

// Whether a JSON text has something in it that json takes and jsonb may not: a \u0000, half of a surrogate pair, a
// number that numeric does not hold, more levels than fit on the stack.
bool may_be_no_jsonb(const char* json) {
  // Behind the point numeric holds 16383 digits: so many and those that the exponent brings.
  constexpr size_t exponent_digits_max = 4, digits_max = 16383 - 9999;
  constexpr int levels_max = 1000;
  const auto is_surrogate = [](const char* at, char least, char most) {
    return at[0] == '\\' && at[1] == 'u' && pg_tolower(at[2]) == 'd' && pg_tolower(at[3]) >= least &&
           pg_tolower(at[3]) <= most;
  };
  bool in_string = false;
  int levels = 0;
  for (const char* at = json; *at != '\0'; ++at) {
    if (*at == '"') {
      in_string = !in_string;
    } else if (!in_string && strchr("[{", *at) != nullptr) {
      if (++levels > levels_max) return true;
    } else if (!in_string && strchr("]}", *at) != nullptr) {
      --levels;
    } else if (in_string && *at == '\\') {
      if (strncmp(at, "\\u0000", 6) == 0) return true;
      const bool is_pair = is_surrogate(at, '8', 'b') && is_surrogate(at + 6, 'c', 'f');
      if (is_surrogate(at, '8', 'f') && !is_pair) return true;
      at += is_pair ? 11 : 1;
    } else if (!in_string && isdigit(static_cast<unsigned char>(*at))) {
      const size_t digits = strspn(at, "0123456789");
      const bool is_signed = at > json && (at[-1] == '+' || at[-1] == '-');
      const char* before = at - (is_signed ? 2 : 1);
      const bool is_exponent = before >= json && pg_tolower(*before) == 'e';
      if (digits > (is_exponent ? exponent_digits_max : digits_max)) return true;
      at += digits - 1;
    }
  }
  return false;
}

// A JSON text as it is, on one line.
const char* on_one_line(char* json) {
  for (char* at = json; (at = strpbrk(at, "\r\n")) != nullptr;) *at = ' ';
  return json;
}

// nullptr: JSON's null, which is no value where only strings are wanted.
const char* printed_by_to_jsonb(RowJsonColumn* column, Datum value) {
  if (column->base == JSONOID) {
    char* json = TextDatumGetCString(value);
    if (may_be_no_jsonb(json)) return on_one_line(json + strspn(json, " \t\r\n"));
  }
  const Datum json = FunctionCall1(&column->print, value);
  char* text = DatumGetCString(DirectFunctionCall1(jsonb_out, json));
  return strcmp(text, "null") == 0 ? nullptr : text;
}

struct Printed {
  const char* text;  // nullptr: null
  enum { plain, to_quote, quoted } form;
};

Printed print(RowJsonColumn* column, Datum value, RowJsonForm form, char* moment) {
  switch (column->printing) {
    case Printing::boolean:
      return {DatumGetBool(value) ? "true" : "false", Printed::plain};
    case Printing::moment:
      return {JsonEncodeDateTime(moment, value, column->base, nullptr), Printed::to_quote};
    case Printing::number: {
      char* text = OutputFunctionCall(&column->print, value);
      if (!is_number(text) || (form == RowJsonForm::key && strcmp(text, "-0") == 0)) return {text, Printed::to_quote};
      return {as_numeric(text), Printed::plain};
    }
    case Printing::text:
      return {OutputFunctionCall(&column->print, value), Printed::to_quote};
    case Printing::any:
      break;
  }
  const char* text = printed_by_to_jsonb(column, value);
  return {text, text != nullptr && *text == '"' ? Printed::quoted : Printed::plain};
}

}  // namespace

RowJson make_row_json(TupleDesc description, int first, int count, RowJsonForm form) {
  RowJson row = {form, count, static_cast<RowJsonColumn*>(palloc0(sizeof(RowJsonColumn) * Max(count, 1)))};
  for (int number = 0; number < count; ++number) {
    RowJsonColumn& column = row.columns[number];
    column.place = first + number;
    const FormData_pg_attribute* attribute = TupleDescAttr(description, column.place);
    StringInfoData label;
    initStringInfo(&label);
    escape_json(&label, NameStr(attribute->attname));
    appendStringInfoString(&label, ": ");
    column.label = label.data;
    column.name = pstrdup(NameStr(attribute->attname));
    column.name_size = strlen(column.name);
    column.base = getBaseType(attribute->atttypid);
    column.printing = printing_of(column.base);
    if (column.printing == Printing::any) {
      column.print = to_jsonb_of(attribute->atttypid);
    } else {
      Oid output;
      bool is_varlena;
      getTypeOutputInfo(column.base, &output, &is_varlena);
      fmgr_info(output, &column.print);
    }
  }
  qsort(row.columns, count, sizeof(RowJsonColumn), in_jsonb_order);
  return row;
}

void append_row_json(StringInfo text, const RowJson& row, const Datum* values, const bool* nulls) {
  const bool only_strings = row.form == RowJsonForm::strings;
  char moment[MAXDATELEN + 1];
  bool first = true;
  appendStringInfoChar(text, '{');
  for (RowJsonColumn* column = row.columns; column < row.columns + row.count; ++column) {
    Printed printed = {nullptr, Printed::plain};
    if (!nulls[column->place]) printed = print(column, values[column->place], row.form, moment);
    if (printed.text == nullptr && only_strings) continue;
    if (!first) appendStringInfoString(text, ", ");
    first = false;
    appendStringInfoString(text, column->label);
    if (printed.text == nullptr)
      appendStringInfoString(text, "null");
    else if (printed.form == Printed::to_quote || (printed.form == Printed::plain && only_strings))
      escape_json(text, printed.text);
    else
      appendStringInfoString(text, printed.text);
  }
  appendStringInfoChar(text, '}');
}

}  // namespace anabranch
