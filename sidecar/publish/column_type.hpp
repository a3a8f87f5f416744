// What a column is to a format that has types of its own: the wire's encoding, made finer by the type's name.
#pragma once

#include <cstdint>
#include <string_view>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

enum class ColumnType : uint8_t {
  boolean,
  int2,
  int4,
  int8,
  oid,
  float4,
  float8,
  bytes,
  date,
  time,
  timestamp,  // without time zone; also domains over timestamptz, whose base the log does not tell
  timestamptz,
  raw_text,  // not known to be UTF-8
  text       // and everything else: PostgreSQL's own text
};

struct FormatColumn {
  const Column* column = nullptr;
  ColumnType type = ColumnType::text;  // of an array: of its elements
  bool is_array = false;
  char delimiter = ',';  // of an array
};

// A type whose name begins with "_" is taken for an array: so PostgreSQL names them.
FormatColumn describe_column(const Column& column);

}  // namespace anabranch
