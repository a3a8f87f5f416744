#include "sidecar/logging.hpp"

#include <atomic>
#include <cerrno>
#include <cmath>
#include <iterator>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

namespace anabranch {
namespace {

using Buffer = fmt::memory_buffer;

std::atomic<LogLevel> level_wanted{LogLevel::info};
std::atomic<LogFormat> format_wanted{LogFormat::text};

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

void append(Buffer& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

// Length of the well-formed UTF-8 sequence at the start of `text`; 0 when there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) > 0x9F;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && byte(1) < 0x90;
    const bool too_large = lead == 0xF4 && byte(1) > 0x8F;
    return tail(1) && tail(2) && tail(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

// Escapes so that both formats stay one line, and JSON stays JSON whatever bytes a name or a server's message holds.
void append_escaped(Buffer& out, std::string_view text) {
  while (!text.empty()) {
    const char c = text.front();
    const size_t length = utf8_length(text);
    if (length == 0) {
      append(out, "\\ufffd");
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      append(out, "\\n");
    } else if (c == '\t') {
      append(out, "\\t");
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint8_t>(c));
    } else if (length == 2 && static_cast<uint8_t>(c) == 0xC2 && static_cast<uint8_t>(text[1]) < 0xA0) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint8_t>(text[1]));  // C1: terminals obey them
    } else {
      append(out, text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

void append_value(Buffer& out, const LogField& field) {
  if (!field.quoted) return append(out, field.value);
  out.push_back('"');
  append_escaped(out, field.value);
  out.push_back('"');
}

void append_time(Buffer& out, std::chrono::system_clock::time_point time, char separator, std::string_view zone) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds).count();
  const std::tm parts = fmt::gmtime(std::chrono::system_clock::to_time_t(seconds));
  fmt::format_to(std::back_inserter(out), "{:%Y-%m-%d}{}{:%H:%M:%S}.{:03}{}", parts, separator, parts, ms, zone);
}

void format_line(Buffer& out, LogFormat format, LogLevel level, std::chrono::system_clock::time_point time,
                 std::string_view message, std::initializer_list<LogField> fields) {
  if (format == LogFormat::json) {
    append(out, R"({"time":")");
    append_time(out, time, 'T', "Z");
    append(out, R"(","level":")");
    append(out, level_name(level));
    append(out, R"(","message":")");
    append_escaped(out, message);
    out.push_back('"');
    for (const LogField& field : fields) {
      append(out, ",\"");
      append_escaped(out, field.name);
      append(out, "\":");
      append_value(out, field);
    }
    append(out, "}\n");
    return;
  }
  append_time(out, time, ' ', " UTC");
  out.push_back(' ');
  append(out, level_name(level));
  append(out, ": ");
  // A server's message may quote values: there a quotation mark is no end of anything, so only control characters
  // matter.
  Buffer escaped;
  append_escaped(escaped, message);
  for (size_t i = 0; i < escaped.size(); ++i) {
    if (escaped[i] == '\\' && i + 1 < escaped.size() && (escaped[i + 1] == '"' || escaped[i + 1] == '\\')) ++i;
    out.push_back(escaped[i]);
  }
  char separator = '(';
  for (const LogField& field : fields) {
    if (separator == '(') out.push_back(' ');
    out.push_back(separator);
    append(out, field.name);
    out.push_back('=');
    append_value(out, field);
    separator = ' ';
  }
  if (separator == ' ') out.push_back(')');
  out.push_back('\n');
}

}  // namespace

LogField::LogField(std::string_view name, double value) : name(name), quoted(!std::isfinite(value)) {
  this->value = fmt::format("{}", value);  // JSON has no word for NaN and the infinities: they stay text
}

std::optional<LogLevel> parse_log_level(std::string_view word) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    if (word == level_name(level)) return level;
  return std::nullopt;
}

void configure_logging(LogLevel level, LogFormat format) {
  level_wanted = level;
  format_wanted = format;
}

bool logs(LogLevel level) noexcept {
  return level >= level_wanted.load(std::memory_order_relaxed);
}

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) noexcept {
  if (!logs(level)) return;
  try {
    Buffer line;
    format_line(line, format_wanted, level, std::chrono::system_clock::now(), message, fields);
    // One write: lines of several threads do not mix. A log that cannot be written stops nothing.
    while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
    }
  } catch (...) {  // out of memory while telling about it
  }
}

std::string format_log_line(LogFormat format, LogLevel level, std::chrono::system_clock::time_point time,
                            std::string_view message, std::initializer_list<LogField> fields) {
  Buffer line;
  format_line(line, format, level, time, message, fields);
  return fmt::to_string(line);
}

}  // namespace anabranch
