// A position in the write-ahead log.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace anabranch {

// A byte position in the write-ahead log of one timeline. 0 is "no position" (pg_lsn 0/0) and stands before every
// other. A type of its own, so that received, applied and confirmed positions cannot be mixed up with counts or sizes.
class Lsn {
 public:
  constexpr Lsn() = default;
  constexpr explicit Lsn(uint64_t value) : value_(value) {}

  // Parses PostgreSQL's notation: two hexadecimal numbers of 1 to 8 digits round a slash, "16/B374D848". Nothing else
  // is accepted, no blanks either: nullopt.
  static std::optional<Lsn> parse(std::string_view text);

  constexpr uint64_t value() const { return value_; }
  constexpr bool valid() const { return value_ != 0; }

  // As pg_lsn prints it.
  std::string to_string() const;

  friend constexpr auto operator<=>(Lsn, Lsn) = default;

 private:
  uint64_t value_ = 0;
};

}  // namespace anabranch
