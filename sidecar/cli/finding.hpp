// What a look at the server found, for init, check and status alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace anabranch {

// Exit codes of `anabranch status`: their values stay.
enum class Severity : uint8_t { ok = 0, warning = 1, critical = 2, unknown = 3 };

struct Finding {
  Severity severity = Severity::ok;
  std::string subject;  // what it is about: "wal_level", "slot", a copy's name
  std::string text;     // what is the case
  std::string remedy;   // what to do about it; empty where nothing is to be done
};

// "ok", "warning", "critical", "unknown"
const char* to_string(Severity severity);

// Orders by how bad it is: ok, warning, unknown, critical. What is not known may be bad, what is critical surely is.
bool worse(Severity a, Severity b);

// The worst of all; ok for none.
Severity worst(const std::vector<Finding>& findings);

// A line "  ok        subject     text" with the remedy, if any, in lines of its own below, broken at 100 columns.
// `label` stands in the first column in place of the severity where given ("done", "to do").
std::string format_finding(const Finding& finding, std::string_view label = {});

// `text` in lines of at most `columns` columns, each indented by `indent` blanks; breaks at blanks where it can and
// keeps the breaks the text has. Columns are counted in characters.
std::string wrap(std::string_view text, size_t indent, size_t columns = 100);

}  // namespace anabranch
