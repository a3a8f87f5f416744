#include "sidecar/index/bulk.hpp"

#include <cstdint>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/engine_reason.hpp"
#include "sidecar/index/mapping.hpp"
#include "sidecar/index/search_mark.hpp"
#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using Fate = BulkItemResult::Fate;

constexpr std::string_view json_space = " \t\r\n";

void append_without_line_feeds(std::string& body, std::string_view text) {
  for (std::size_t at; (at = text.find('\n')) != std::string_view::npos; text.remove_prefix(at + 1)) {
    body.append(text, 0, at);
    body += ' ';
  }
  body.append(text);
}

// Everything of an object but the brace at its end.
std::string_view without_end(std::string_view object) {
  return object.substr(0, object.find_last_of('}'));
}

Fate fate_of(uint64_t status, const std::string& type) {
  if ((status >= 200 && status < 300) || status == 409) return Fate::done;
  // An engine whose disk is full refuses writes with 403 or 429, by version: neither is about the document.
  if (type == "cluster_block_exception" || type == "index_closed_exception") return Fate::blocked;
  if (status == 429 || status >= 500) return Fate::retry;
  if (type == "index_not_found_exception") return Fate::missing;
  if (status == 401 || status == 403) return Fate::denied;
  return Fate::refused;
}

}  // namespace

void append_bulk_item(std::string& body, const Document& document, IndexVersion version) {
  body += R"({"index":{"_id":)";
  append_json_string(body, document.id);
  body += R"(,"version":)";
  append_number(body, version);
  body += R"(,"version_type":"external_gte"}})";
  body += '\n';
  if (document.content) {
    const auto members = without_end(*document.content);
    append_without_line_feeds(body, members);
    if (members.find_last_not_of(json_space) != members.find('{')) body += ',';
  } else {
    body += '{';
  }
  fmt::format_to(std::back_inserter(body), R"("{}":{{"mark":)", own_field);
  append_mark(body, document, version);
  if (!document.content) {
    body += R"(,"deleted":)";
    append_number(body, version);
  }
  body += "}}\n";
}

std::vector<BulkItemResult> read_bulk_answer(std::string_view answer, std::size_t items) {
  const auto incomprehensible = [&] {
    return IndexError(IndexError::Kind::unreachable,
                      fmt::format("the answer to a bulk request of {} documents cannot be understood: {}", items,
                                  reason_in(answer).text),
                      "");
  };
  const auto parsed = json::parse(answer, nullptr, false);
  const auto& list = member(parsed, "items");
  if (!list.is_array() || list.size() != items) throw incomprehensible();
  std::vector<BulkItemResult> results;
  results.reserve(items);
  for (const auto& item : list) {
    const auto& result = member(item, "index");
    const auto& status = member(result, "status");
    if (!status.is_number_unsigned()) throw incomprehensible();
    const auto code = status.get<uint64_t>();
    if (code / 100 != 2 && code / 100 != 4 && code / 100 != 5) throw incomprehensible();
    const auto& error = member(result, "error");
    if (code < 300 && error.is_null()) {
      results.emplace_back();
      continue;
    }
    auto reason = engine_reason(error);
    const auto fate = fate_of(code, reason.type);
    if (fate == Fate::done)
      results.emplace_back();
    else
      results.push_back({fate, reason.text.empty() ? fmt::format("status {}", code) : std::move(reason.text)});
  }
  return results;
}

}  // namespace anabranch
