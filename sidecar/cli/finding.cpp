#include "sidecar/cli/finding.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr size_t label_columns = 10;
constexpr size_t subject_columns = 26;

int rank(Severity severity) {
  switch (severity) {
    case Severity::ok:
      return 0;
    case Severity::warning:
      return 1;
    case Severity::unknown:
      return 2;
    case Severity::critical:
      return 3;
  }
  return 3;
}

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void wrap_line(std::string& wrapped, std::string_view line, size_t indent, size_t columns) {
  const size_t width = columns > indent ? columns - indent : 1;
  size_t used = 0;
  wrapped.append(indent, ' ');
  while (!line.empty()) {
    const auto word = line.substr(0, line.find(' '));
    const auto word_columns = columns_of(word);
    if (used > 0 && used + 1 + word_columns > width) {
      wrapped += '\n';
      wrapped.append(indent, ' ');
      used = 0;
    }
    if (used > 0) {
      wrapped += ' ';
      ++used;
    }
    wrapped += word;
    used += word_columns;
    line.remove_prefix(std::min(line.size(), word.size() + 1));
  }
  wrapped += '\n';
}

}  // namespace

const char* to_string(Severity severity) {
  switch (severity) {
    case Severity::ok:
      return "ok";
    case Severity::warning:
      return "warning";
    case Severity::critical:
      return "critical";
    case Severity::unknown:
      return "unknown";
  }
  return "unknown";
}

bool worse(Severity a, Severity b) {
  return rank(a) > rank(b);
}

Severity worst(const std::vector<Finding>& findings) {
  auto severity = Severity::ok;
  for (const auto& finding : findings)
    if (worse(finding.severity, severity)) severity = finding.severity;
  return severity;
}

std::string wrap(std::string_view text, size_t indent, size_t columns) {
  std::string wrapped;
  while (true) {
    const auto end = text.find('\n');
    wrap_line(wrapped, text.substr(0, end), indent, columns);
    if (end == std::string_view::npos) return wrapped;
    text.remove_prefix(end + 1);
  }
}

std::string format_finding(const Finding& finding, std::string_view label) {
  const std::string_view first = label.empty() ? to_string(finding.severity) : label;
  const size_t indent = label_columns + subject_columns;
  auto body = wrap(finding.text, indent);
  auto subject = finding.subject;
  if (columns_of(subject) < subject_columns) {
    subject.append(subject_columns - columns_of(subject), ' ');
    body.erase(0, indent);
  } else {
    subject += '\n';
  }
  auto formatted = fmt::format("{:<{}}{}{}", first, label_columns, subject, body);
  if (!finding.remedy.empty()) {
    auto remedy = wrap(finding.remedy, indent + 3);
    remedy.replace(indent, 3, "-> ");
    formatted += remedy;
  }
  return formatted;
}

}  // namespace anabranch
