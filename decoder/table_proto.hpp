// A table's .proto: the text of a file whose messages read the rows that the decoder writes, and the records that carry
// them in Kafka. Pure text from a description: both anabranch.proto_schema() in the server and the sidecar, which gives
// it to a schema registry, compile these lines, so that they say the same. Nothing is allocated.
//
// Names. Protobuf allows letters, digits and "_": any other byte is written as _xHH, and so is the "_" of a name that
// has an "_xHH" of its own, so different names stay different. Protobuf also refuses two fields whose names differ only
// in case or in "_": the one with the higher number is then called column_N. Numbers are attribute numbers, so a name
// never matters to bytes; and adding a column never renames an earlier one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "decoder/format.hpp"

namespace anabranch::table_proto {

struct Column {
  uint32_t number = 0;
  std::string_view name;
  std::string_view type_schema, type_name;  // pg_type.typname
  int32_t type_modifier = -1;
  Encoding encoding = Encoding::text;
  bool in_key = false;
};

// `columns` in ascending order of their numbers; what lies between them up to `number_max` is reserved.
struct Table {
  std::string_view schema, name;
  uint32_t generation = 0;
  const Column* columns = nullptr;
  size_t column_count = 0;
  uint32_t number_max = 0;
};

// Hands out the characters of a name as protobuf allows them; '\0' after the last.
class Characters {
 public:
  explicit Characters(std::string_view name) : name_(name) {}

  char next() {
    if (pending_ < 4 && pending_ > 0) return escape_character();
    if (at_ == name_.size()) return '\0';
    char c = name_[at_];
    const bool plain = is_letter(c) || (is_digit(c) && at_ > 0) || (c == '_' && !begins_escape());
    if (!plain) {
      escaped_ = static_cast<unsigned char>(c);
      pending_ = 1;
      ++at_;
      return '_';
    }
    ++at_;
    return c;
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

 private:
  static bool is_hex(char c) { return is_digit(c) || (c >= 'A' && c <= 'F'); }
  bool begins_escape() const {
    return name_.size() - at_ >= 4 && name_[at_ + 1] == 'x' && is_hex(name_[at_ + 2]) && is_hex(name_[at_ + 3]);
  }
  char escape_character() {
    constexpr const char* digits = "0123456789ABCDEF";
    const char c = pending_ == 1 ? 'x' : digits[pending_ == 2 ? escaped_ >> 4 : escaped_ & 15];
    pending_ = (pending_ + 1) % 4;
    return c;
  }

  std::string_view name_;
  size_t at_ = 0;
  unsigned char escaped_ = 0;
  int pending_ = 0;
};

// As protobuf compares names of fields: without case and "_".
class FoldedCharacters {
 public:
  explicit FoldedCharacters(std::string_view name) : characters_(name) {}
  char next() {
    char c = characters_.next();
    while (c == '_') c = characters_.next();
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }

 private:
  Characters characters_;
};

inline bool collide(std::string_view left, std::string_view right) {
  FoldedCharacters a(left), b(right);
  for (;;) {
    const char c = a.next();
    if (c != b.next()) return false;
    if (c == '\0') return true;
  }
}

template <typename Out>
class File {
 public:
  File(const Table& table, Out& out) : table_(table), out_(out) {}

  // The whole file: the record (first, so that its message index is 0), the row, and the key where there is one.
  void write_all() {
    write_head();
    write_change();
    write_row();
    bool has_key = false;
    for (size_t i = 0; i < table_.column_count; ++i) has_key |= table_.columns[i].in_key;
    if (has_key) write_key();
  }

  // A file that has only the key, for the registry's subject of keys.
  void write_key_file() {
    write_head();
    write_key();
  }

 private:
  void text(std::string_view text) { out_(text); }

  void number(uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do digits[--at] = static_cast<char>('0' + value % 10);
    while (value /= 10);
    text(std::string_view(digits + at, sizeof(digits) - at));
  }

  void character(char c) { text(std::string_view(&c, 1)); }

  void escaped(std::string_view name) {
    Characters characters(name);
    while (const char c = characters.next()) character(c);
  }

  // Of what users have named: no line may end here.
  void comment(std::string_view name) {
    for (const char c : name) character(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
  }

  // order_lines is OrderLines; a generation follows. "Change" and "Key" are taken.
  void row_name() {
    Characters characters(table_.name);
    bool upper = true;
    size_t size = 0;
    bool is_change = table_.generation == 0, is_key = table_.generation == 0;
    for (char c = characters.next(); c != '\0'; c = characters.next()) {
      if (c == '_') {
        upper = true;
        continue;
      }
      if (upper && c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
      upper = false;
      if (size == 0 && Characters::is_digit(c)) text("Table");
      is_change = is_change && size < 6 && c == "Change"[size];
      is_key = is_key && size < 3 && c == "Key"[size];
      ++size;
      character(c);
    }
    if (size == 0) text("Table");
    if ((is_change && size == 6) || (is_key && size == 3)) text("Row");
    if (table_.generation > 0) {
      text("Generation");
      number(table_.generation);
    }
  }

  void field_name(const Column& column) {
    bool taken = false;
    for (size_t i = 0; i < table_.column_count && table_.columns[i].number < column.number && !taken; ++i)
      taken = collide(table_.columns[i].name, column.name);
    if (!taken && !is_fallback(column.name)) {
      escaped(column.name);
      if (column.name.empty()) text("column");
      return;
    }
    text("column_");
    number(column.number);
  }

  // column_N is kept for columns that need it.
  static bool is_fallback(std::string_view name) {
    constexpr std::string_view prefix = "column";
    FoldedCharacters characters(name);
    for (const char wanted : prefix)
      if (characters.next() != wanted) return false;
    char c = characters.next();
    if (c == '\0') return true;
    for (; c != '\0'; c = characters.next())
      if (!Characters::is_digit(c)) return false;
    return true;
  }

  static std::string_view field_type(Encoding encoding) {
    switch (encoding) {
      case Encoding::boolean:
        return "bool";
      case Encoding::integer:
      case Encoding::time:
      case Encoding::timestamp:
        return "sint64";
      case Encoding::oid:
        return "uint32";
      case Encoding::float4:
        return "float";
      case Encoding::float8:
        return "double";
      case Encoding::bytes:
      case Encoding::raw_text:
        return "bytes";
      case Encoding::date:
        return "sint32";
      case Encoding::text:
        break;
    }
    return "string";
  }

  static std::string_view remark(Encoding encoding) {
    switch (encoding) {
      case Encoding::date:
        return ": days since 2000-01-01; the least and the greatest are -infinity and infinity";
      case Encoding::time:
        return ": microseconds since midnight";
      case Encoding::timestamp:
        return ": microseconds since 2000-01-01 00:00 UTC; the least and the greatest are -infinity and infinity";
      case Encoding::raw_text:
        return ": text, not known to be UTF-8";
      default:
        return "";
    }
  }

  // As people write it: numeric(10,2), int4[], public.mood.
  void type_name(const Column& column) {
    std::string_view name = column.type_name;
    const bool is_ours = column.type_schema == "pg_catalog";
    const bool is_array = name.size() > 1 && name[0] == '_';
    if (is_array) name.remove_prefix(1);
    if (!is_ours) {
      comment(column.type_schema);
      text(".");
    }
    comment(name);
    const int32_t modifier = column.type_modifier;
    if (is_ours && modifier >= 0) type_modifier(name, static_cast<uint32_t>(modifier));
    if (is_array) text("[]");
  }

  // As numerictypmodout and its like read it.
  void type_modifier(std::string_view name, uint32_t modifier) {
    if (name == "numeric" && modifier >= 4) {
      const uint32_t bits = modifier - 4;
      const int32_t scale = static_cast<int32_t>((bits & 0x7ff) ^ 1024) - 1024;
      text("(");
      number(bits >> 16 & 0xffff);
      text(scale < 0 ? ",-" : ",");
      number(static_cast<uint64_t>(scale < 0 ? -scale : scale));
      text(")");
    } else if ((name == "varchar" || name == "bpchar") && modifier >= 4) {
      text("(");
      number(modifier - 4);
      text(")");
    } else if (name == "bit" || name == "varbit" || name == "time" || name == "timetz" || name == "timestamp" ||
               name == "timestamptz") {
      text("(");
      number(modifier);
      text(")");
    }
  }

  void field(const Column& column) {
    text("  optional ");
    text(field_type(column.encoding));
    text(" ");
    field_name(column);
    text(" = ");
    number(column.number);
    text(";  // ");
    bool is_plain = true;
    Characters characters(column.name);
    for (const char c : column.name) is_plain = is_plain && c == characters.next();
    if (!is_plain) {
      text("\"");
      comment(column.name);
      text("\" ");
    }
    type_name(column);
    text(remark(column.encoding));
    text("\n");
  }

  void write_head() {
    text("// Table ");
    comment(table_.schema);
    text(".");
    comment(table_.name);
    text(
        ", as Anabranch sends it. Field numbers are attribute numbers: they stay when columns are renamed, and are\n"
        "// not used again when columns are dropped. An absent field is NULL.\n"
        "syntax = \"proto3\";\n\npackage anabranch.schema_");
    escaped(table_.schema);
    text(".table_");
    escaped(table_.name);
    text(";\n\n");
  }

  void write_row() {
    text("// The row.\nmessage ");
    row_name();
    text(" {\n");
    uint32_t next = 1;
    for (size_t i = 0; i < table_.column_count; ++i) {
      reserve(next, table_.columns[i].number);
      next = table_.columns[i].number + 1;
      field(table_.columns[i]);
    }
    reserve(next, table_.number_max + 1);
    text("}\n");
  }

  void reserve(uint32_t from, uint32_t to) {
    if (from >= to) return;
    text("  reserved ");
    number(from);
    if (to - from > 1) {
      text(" to ");
      number(to - 1);
    }
    text(";  // dropped, generated or not published\n");
  }

  void write_key() {
    text("\n// The key of a record.\nmessage Key {\n");
    for (size_t i = 0; i < table_.column_count; ++i)
      if (table_.columns[i].in_key) field(table_.columns[i]);
    text("}\n");
  }

  // Row of sidecar/topic/topic.proto, with the row's own message in place of bytes.
  void write_change() {
    text(
        "// The value of a record.\n"
        "message Change {\n"
        "  enum Operation {\n"
        "    UNKNOWN = 0;   // of a later version: do not guess\n"
        "    INSERT = 1;\n"
        "    UPDATE = 2;    // the key did not change\n"
        "    DELETE = 3;\n"
        "    TRUNCATE = 4;  // of the table; the same in every partition of the topic\n"
        "    READ = 5;      // a row that existed before\n"
        "    MESSAGE = 6;\n"
        "  }\n"
        "  enum Before {\n"
        "    NONE = 0;\n"
        "    KEY = 1;  // the columns of the replica identity\n"
        "    FULL = 2;\n"
        "  }\n"
        "  message Omitted {\n"
        "    uint32 number = 1;\n"
        "    string sqlstate = 2;\n"
        "    string reason = 3;\n"
        "  }\n"
        "  Operation operation = 1;\n"
        "  Before before_kind = 2;  // what `before` holds\n"
        "  optional ");
    row_name();
    text(" before = 3;\n  optional ");
    row_name();
    text(
        " after = 4;\n"
        "  // Numbers of columns that are missing in `after` and not NULL: large values that did not change.\n"
        "  repeated uint32 unchanged = 5;\n"
        "  // Columns that are missing and not NULL: they could not be sent.\n"
        "  repeated Omitted omitted_before = 6;\n"
        "  repeated Omitted omitted_after = 7;\n"
        "  uint32 leaf = 8;  // oid of the partition when only that was truncated\n"
        "  bool cascade = 9;\n"
        "  bool restart_identity = 10;\n"
        "}\n\n");
  }

  const Table& table_;
  Out& out_;
};

}  // namespace anabranch::table_proto
