// Lines to stderr, for people or for machines.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/pg/lsn.hpp"

namespace anabranch {

enum class LogLevel : uint8_t { debug, info, warning, error };
enum class LogFormat : uint8_t { text, json };

// "debug", "info", "warning", "error"; nullopt for another word.
std::optional<LogLevel> parse_log_level(std::string_view word);

// One named value of a line.
struct LogField {
  std::string_view name;
  std::string value;
  bool quoted = true;  // false: a number or a boolean, printed bare

  LogField(std::string_view name, std::string_view value) : name(name), value(value) {}
  LogField(std::string_view name, const char* value) : name(name), value(value) {}
  LogField(std::string_view name, const std::string& value) : name(name), value(value) {}
  LogField(std::string_view name, Lsn value) : name(name), value(value.to_string()) {}
  LogField(std::string_view name, bool value) : name(name), value(value ? "true" : "false"), quoted(false) {}
  LogField(std::string_view name, std::integral auto value) : name(name), value(std::to_string(value)), quoted(false) {}
  LogField(std::string_view name, double value);
  // In milliseconds; name it so: "wait_ms".
  LogField(std::string_view name, std::chrono::milliseconds value)
      : name(name), value(std::to_string(value.count())), quoted(false) {}
};

// For the whole process; call before threads start. Default: info and text.
void configure_logging(LogLevel level, LogFormat format);
bool logs(LogLevel level) noexcept;

// Writes one line, in one write(2), from any thread. Text: "2026-01-31 12:00:00.123 UTC warning: message (slot="a"
// wait_ms=5)"; control characters in values are escaped, so that a name cannot forge a line. JSON: one object with
// time, level, message and the fields. The message is lowercase, in the server's style, without full stop. Never
// throws; never log a secret.
void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) noexcept;

inline void log_debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  if (logs(LogLevel::debug)) log_line(LogLevel::debug, message, fields);
}
inline void log_info(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::info, message, fields);
}
inline void log_warning(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::warning, message, fields);
}
inline void log_error(std::string_view message, std::initializer_list<LogField> fields = {}) {
  log_line(LogLevel::error, message, fields);
}

// The line as log_line() would write it at `time`, with its newline: for tests.
std::string format_log_line(LogFormat format, LogLevel level, std::chrono::system_clock::time_point time,
                            std::string_view message, std::initializer_list<LogField> fields);

}  // namespace anabranch
