#include "extension/postgres.hpp"

#include "decoder/options.hpp"

#include "decoder/format.hpp"

namespace anabranch {

namespace {

constexpr char known_options[] =
    "The options are \"proto_version\", \"publication_names\", \"messages\" and \"skip_origins\".";

// Of one option, so that it cannot be given twice.
struct Seen {
  bool proto_version = false;
  bool publication_names = false;
  bool messages = false;
  bool skip_origins = false;
};

bool is_option(const DefElem* option, const char* name, bool* seen) {
  if (strcmp(option->defname, name) != 0) return false;
  if (*seen) ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("option \"%s\" is given more than once", name)));
  *seen = true;
  return true;
}

const char* value_of(const DefElem* option) {
  if (option->arg == nullptr || !IsA(option->arg, String))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" needs a value", option->defname)));
  return strVal(option->arg);
}

void check_version(const char* value) {
  char* end;
  errno = 0;
  unsigned long version = strtoul(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || *value == '-')
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid proto_version \"%s\"", value)));
  if (version != record_format)
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("proto_version \"%s\" is not supported", value),
             errhint("This anabranch_decoder speaks version %u: use a sidecar of the same release.", record_format)));
}

List* parse_publications(const char* value) {
  List* names;
  if (!SplitIdentifierString(pstrdup(value), ',', &names))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("invalid publication_names \"%s\"", value),
                    errhint("Give the names as SQL identifiers, separated by commas.")));
  if (names == NIL)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("publication_names \"%s\" names no publication", value)));
  return names;
}

// Names of origins are no identifiers: they keep their case and may be longer.
List* parse_origins(const char* value) {
  List* names;
  if (!SplitGUCList(pstrdup(value), ',', &names))
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("invalid skip_origins \"%s\"", value),
                    errhint("Give the names separated by commas, in double quotes where they hold other than letters, "
                            "digits and underscores.")));
  return names;
}

bool parse_boolean(const char* name, const char* value) {
  bool result;
  if (!parse_bool(value, &result))
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid value \"%s\" for option \"%s\"", value, name),
             errhint("Use \"true\" or \"false\".")));
  return result;
}

}  // namespace

Options parse_options(List* given) {
  Options options;
  Seen seen;
  ListCell* cell;
  foreach (cell, given) {
    auto* option = static_cast<DefElem*>(lfirst(cell));
    if (is_option(option, "proto_version", &seen.proto_version))
      check_version(value_of(option));
    else if (is_option(option, "publication_names", &seen.publication_names))
      options.publications = parse_publications(value_of(option));
    else if (is_option(option, "messages", &seen.messages))
      options.messages = parse_boolean("messages", value_of(option));
    else if (is_option(option, "skip_origins", &seen.skip_origins))
      options.skipped_origins = parse_origins(value_of(option));
    else
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unrecognized option \"%s\"", option->defname),
                      errhint("%s", known_options)));
  }
  if (!seen.proto_version)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"proto_version\" is missing")));
  if (!seen.publication_names)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"publication_names\" is missing")));
  return options;
}

}  // namespace anabranch
