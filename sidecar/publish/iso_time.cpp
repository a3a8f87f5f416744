#include "sidecar/publish/iso_time.hpp"

#include <charconv>
#include <limits>

#include "sidecar/pg/epoch.hpp"

namespace anabranch {
namespace {

struct Civil {
  int64_t year;
  unsigned month, day;
};

// Days since 1970-01-01 to the proleptic Gregorian calendar, by eras of 400 years that begin with March.
Civil civil_from_days(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146'097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), month, day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

void append_digits(std::string& out, uint64_t value, unsigned width) {
  char digits[20];
  unsigned at = sizeof(digits);
  while (value > 0 || width > 0) {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
    if (width > 0) --width;
  }
  out.append(digits + at, sizeof(digits) - at);
}

void append_year(std::string& out, int64_t year) {
  if (year < 0) out += '-';
  if (year > 9'999) out += '+';
  append_digits(out, static_cast<uint64_t>(year < 0 ? -year : year), 4);
}

void append_civil(std::string& out, int64_t days_since_1970) {
  const auto civil = civil_from_days(days_since_1970);
  append_year(out, civil.year);
  out += '-';
  append_digits(out, civil.month, 2);
  out += '-';
  append_digits(out, civil.day, 2);
}

template <typename Number>
bool append_infinity(std::string& out, Number value) {
  if (value == std::numeric_limits<Number>::max())
    out += "infinity";
  else if (value == std::numeric_limits<Number>::min())
    out += "-infinity";
  else
    return false;
  return true;
}

}  // namespace

void append_date(std::string& out, int32_t days) {
  if (!append_infinity(out, days)) append_civil(out, days + days_to_postgres_epoch);
}

void append_time(std::string& out, int64_t micros) {
  const auto seconds = static_cast<uint64_t>(micros / 1'000'000);
  auto fraction = static_cast<uint64_t>(micros % 1'000'000);
  append_digits(out, seconds / 3'600, 2);
  out += ':';
  append_digits(out, seconds / 60 % 60, 2);
  out += ':';
  append_digits(out, seconds % 60, 2);
  if (fraction == 0) return;
  unsigned width = 6;
  for (; fraction % 10 == 0; fraction /= 10) --width;
  out += '.';
  append_digits(out, fraction, width);
}

void append_timestamp(std::string& out, int64_t micros, std::string_view zone) {
  if (append_infinity(out, micros)) return;
  int64_t days = micros / micros_per_day;
  int64_t rest = micros % micros_per_day;
  if (rest < 0) {
    rest += micros_per_day;
    --days;
  }
  append_civil(out, days + days_to_postgres_epoch);
  out += 'T';
  append_time(out, rest);
  out += zone;
}

void append_iso_of_text(std::string& out, std::string_view text) {
  constexpr std::string_view before_christ = " BC";
  const bool is_bc = text.ends_with(before_christ);
  auto rest = is_bc ? text.substr(0, text.size() - before_christ.size()) : text;
  const auto year_size = rest.find('-');
  int64_t year = 0;
  if (year_size != std::string_view::npos && year_size >= 4) {
    const auto read = std::from_chars(rest.data(), rest.data() + year_size, year);
    if (read.ec != std::errc() || read.ptr != rest.data() + year_size) {
      out += text;
      return;
    }
    append_year(out, is_bc ? 1 - year : year);
    rest.remove_prefix(year_size);
  } else if (is_bc || rest.find(':') == std::string_view::npos) {
    out += text;  // an infinity
    return;
  }
  const auto zone = rest.ends_with("+00");
  if (zone) rest.remove_suffix(3);
  for (const char c : rest) out += c == ' ' ? 'T' : c;
  if (zone) out += 'Z';
}

}  // namespace anabranch
