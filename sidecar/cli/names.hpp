// The names that the program gives things in the server, and the quoting of names that others gave.
#pragma once

#include <string>
#include <string_view>

namespace anabranch {

// Fill slots are called "<slot>_fill_<id>" with an id of at most ten digits and must fit into 63 bytes.
inline constexpr size_t slot_name_bytes_max = 63 - 16;

// The default slot for a database: "anabranch_<database>". A slot's name has only a-z, 0-9 and _; where the
// database's name has other characters or is too long, they become "_", and eight hexadecimal digits of a hash keep
// the slots of two such databases apart, also of "x_fill_1" and the first fill slot of "x". Depends on the bytes of the
// name alone, so it is the same in every version.
std::string slot_name_for(std::string_view database);

// Whether the server takes `slot` as a slot's name, its fill slots' too, and it is like no fill slot's name itself.
bool is_slot_name(std::string_view slot);

// "name" as an SQL identifier: always quoted, so no list of reserved words is needed. Throws std::invalid_argument
// for a NUL byte, which no name can have.
std::string quote_identifier(std::string_view name);

// 'text' as an SQL literal. E'' form where it has a backslash, so it means the same with either setting of
// standard_conforming_strings. Throws std::invalid_argument for a NUL byte.
std::string quote_literal(std::string_view text);

// `text` as it may be shown on a terminal or in a line of a log: control characters, bytes that are no UTF-8 and
// bidirectional controls are written as \xNN, so that no name can forge a line or move the cursor.
std::string printable(std::string_view text);

}  // namespace anabranch
