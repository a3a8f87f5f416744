// One column's values as JSON.
#pragma once

#include <string>

#include "decoder/wire.hpp"
#include "sidecar/publish/column_type.hpp"

namespace anabranch {

// How dates and times stand.
enum class TimeMode : uint8_t {
  iso,      // ISO 8601 text; with "Z" where the type has a time zone, without where it has none
  adaptive  // as Debezium's default: days, micro- or milliseconds since 1970 as numbers; timestamptz as text
};

class JsonValueWriter {
 public:
  JsonValueWriter(const Column& column, TimeMode times);

  // Appends the value.
  void write(std::string& out, const wire::Field& field) const;
  // Appends what stands for a value that is not known, in a shape that readers of the type take.
  void write_unavailable(std::string& out) const;

 private:
  void write_array(std::string& out, std::string_view text) const;

  FormatColumn described_;
  TimeMode times_;
  bool milliseconds_ = false;  // adaptive: the column has at most three digits of a second
  mutable std::string scratch_;
};

}  // namespace anabranch
