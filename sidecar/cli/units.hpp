// Amounts with their units, as people write them in settings and read them on a screen.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace anabranch {

// An amount that is no amount. what() is "PROBLEM; REMEDY"; neither names the setting.
class UnitError : public std::invalid_argument {
 public:
  UnitError(const std::string& problem, const std::string& remedy)
      : std::invalid_argument(problem + "; " + remedy), problem(problem), remedy(remedy) {}

  std::string problem;
  std::string remedy;
};

// "20 GB", "512kB", "1.5 TB": bytes. Units as PostgreSQL means them (1 kB = 1024 bytes): B, kB, MB, GB, TB.
// Throws UnitError for anything else, also a number without unit, a negative one, and one past 8 EB.
int64_t parse_bytes(std::string_view text);

// "1 s", "250ms", "2 min": milliseconds. Units: ms, s, min, h, d. Throws UnitError as parse_bytes does, and for
// amounts that are no whole number of milliseconds.
std::chrono::milliseconds parse_duration(std::string_view text);

// "0 B", "1.4 GB": three significant digits at most, never more than 7 characters.
std::string format_bytes(int64_t bytes);

// "3 ms", "1.5 s", "12 s", "4 min", "2 h 05 min", "3 d 04 h": what matters of a duration, in at most 10 characters.
std::string format_duration(std::chrono::milliseconds duration);

// "1,234,567"
std::string format_count(int64_t count);

// "1 table", "2 tables"
std::string format_count(int64_t count, std::string_view noun);

}  // namespace anabranch
