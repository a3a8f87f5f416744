#include "sidecar/cli/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

namespace anabranch {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr std::array byte_units{Unit{"B", 1}, Unit{"kB", int64_t{1} << 10}, Unit{"MB", int64_t{1} << 20},
                                Unit{"GB", int64_t{1} << 30}, Unit{"TB", int64_t{1} << 40}};
constexpr std::array time_units{Unit{"ms", 1}, Unit{"s", 1000}, Unit{"min", 60'000}, Unit{"h", 3'600'000},
                                Unit{"d", 86'400'000}};

constexpr size_t fraction_digits_max = 6;
// Larger amounts would not survive the sums they take part in.
constexpr double amount_max = 9.0e18;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

template <size_t N>
int64_t parse_amount(std::string_view text, const std::array<Unit, N>& units, std::string_view example) {
  auto refuse = [&](std::string_view why) -> UnitError {
    return UnitError(std::string(why), fmt::format("write an amount and its unit, as in \"{}\"", example));
  };
  if (text.starts_with('-')) throw refuse("it is negative");
  size_t number_end = 0;
  size_t point = std::string_view::npos;
  for (; number_end < text.size() && (is_digit(text[number_end]) || text[number_end] == '.'); ++number_end) {
    if (text[number_end] != '.') continue;
    if (point != std::string_view::npos || number_end == 0) throw refuse("it is no number");
    point = number_end;
  }
  if (number_end == 0) throw refuse("it does not begin with a number");
  if (point != std::string_view::npos) {
    const auto digits = number_end - point - 1;
    if (digits == 0 || digits > fraction_digits_max) throw refuse("its fraction has no digits, or more than six");
  }
  auto name = text.substr(number_end);
  while (name.starts_with(' ')) name.remove_prefix(1);
  if (name.empty()) throw refuse("it has no unit");
  for (const auto& unit : units) {
    if (unit.name != name) continue;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + number_end, number);
    if (error != std::errc{} || end != text.data() + number_end) throw refuse("it is no number");
    const double amount = number * static_cast<double>(unit.factor);
    if (amount > amount_max) throw refuse("it is too large");
    // Whole numbers keep all their digits; a double would lose those past 2^53.
    if (point == std::string_view::npos) {
      int64_t whole = 0;
      std::from_chars(text.data(), text.data() + number_end, whole);
      return whole * unit.factor;
    }
    return std::llround(amount);
  }
  std::string known;
  for (const auto& unit : units) known += fmt::format("{}{}", known.empty() ? "" : ", ", unit.name);
  throw refuse(fmt::format("\"{}\" is no unit (units are {})", name, known));
}

}  // namespace

int64_t parse_bytes(std::string_view text) {
  return parse_amount(text, byte_units, "20 GB");
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  return std::chrono::milliseconds(parse_amount(text, time_units, "1 s"));
}

std::string format_bytes(int64_t bytes) {
  const char* sign = bytes < 0 ? "-" : "";
  double amount = std::abs(static_cast<double>(bytes));
  size_t unit = 0;
  // 999.5 would print as "1000": the next unit is shorter.
  while (amount >= 999.5 && unit + 1 < byte_units.size()) {
    amount /= 1024;
    ++unit;
  }
  const int decimals = unit == 0 || amount >= 9.95 ? 0 : 1;
  return fmt::format("{}{:.{}f} {}", sign, amount, decimals, byte_units[unit].name);
}

std::string format_duration(std::chrono::milliseconds duration) {
  const int64_t ms = duration.count();
  if (ms < 0) return "0 ms";
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 9'950) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const int64_t s = (ms + 500) / 1000;
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min", s / 60);
  if (s < 172'800) return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {:02} h", s / 86'400, s % 86'400 / 3600);
}

std::string format_count(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto position = static_cast<ptrdiff_t>(digits.size()) - 3; position > (count < 0 ? 1 : 0); position -= 3)
    digits.insert(static_cast<size_t>(position), 1, ',');
  return digits;
}

std::string format_count(int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", format_count(count), noun, count == 1 ? "" : "s");
}

}  // namespace anabranch
