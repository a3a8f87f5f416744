#include "sidecar/index/engine_reason.hpp"

#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

constexpr std::size_t type_bytes_max = 100;

}  // namespace

std::string one_line(std::string_view text, std::size_t bytes_max) {
  if (!is_utf8(text)) return "(no text)";
  std::string line(text.substr(0, bytes_max));
  if (text.size() > bytes_max) {
    while (!is_utf8(line)) line.pop_back();  // cut inside of a character
    line += "...";
  }
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return line;
}

const json& member(const json& object, std::string_view name) {
  static const json none;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

EngineReason engine_reason(const json& error) {
  EngineReason reason;
  reason.type = one_line(text_of(member(error, "type")), type_bytes_max);
  std::string text = error.is_string() ? error.get<std::string>() : text_of(member(error, "reason"));
  auto cause = text_of(member(member(error, "caused_by"), "reason"));
  const auto& roots = member(error, "root_cause");
  if (cause.empty() && roots.is_array() && !roots.empty()) cause = text_of(member(roots.front(), "reason"));
  if (!cause.empty() && cause != text) text += ": " + cause;
  reason.text = one_line(reason.type.empty() ? text : reason.type + ": " + text);
  return reason;
}

EngineReason reason_in(std::string_view answer) {
  const auto parsed = json::parse(answer, nullptr, false);
  if (const auto& error = member(parsed, "error"); !error.is_null()) return engine_reason(error);
  return {"", one_line(answer)};
}

}  // namespace anabranch
