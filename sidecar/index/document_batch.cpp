#include "sidecar/index/document_batch.hpp"

#include <string_view>
#include <unordered_set>

#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

enum Column : std::size_t { at_key, at_id, at_target, at_member, at_content, at_digest, at_rows };

}  // namespace

DocumentBatch::DocumentBatch(Result result) : rows_(std::move(result)) {
  documents_.reserve(rows_.rows());
  for (std::size_t row = 0; row < rows_.rows(); ++row) {
    const bool present = !rows_.null(row, at_content);
    const std::string_view text = rows_.text(row, at_content);
    bytes_ += static_cast<int64_t>(text.size());
    if (rows_.null(row, at_id) || rows_.null(row, at_target) || rows_.null(row, at_member)) {
      keyless_.emplace_back(rows_.text(row, at_key));
      if (present)
        parked_.push_back({std::string(rows_.text(row, at_key)), static_cast<int64_t>(text.size()),
                           "a column of its key is NULL; leave such rows out with WHERE, or use coalesce"});
      continue;
    }
    if (const int64_t count = rows_.integer(row, at_rows); count > 1) {
      parked_.push_back({std::string(rows_.text(row, at_key)), static_cast<int64_t>(text.size()),
                         "the key is not unique: " + std::to_string(count) +
                             " rows have it; name further columns in the key of the index"});
      continue;
    }
    documents_.push_back({rows_.text(row, at_key), rows_.text(row, at_id), rows_.text(row, at_target),
                          rows_.text(row, at_member), present ? std::optional(text) : std::nullopt,
                          rows_.text(row, at_digest)});
  }
}

std::string DocumentBatch::last_key() const {
  return rows_.rows() == 0 ? std::string() : std::string(rows_.text(rows_.rows() - 1, at_key));
}

std::string keys_of(const HeldPage& page) {
  auto keys = nlohmann::json::array();
  for (const HeldDocument& held : page.documents)
    if (!held.key.empty() && held.key.find('\0') == std::string::npos) keys.push_back(held.key);
  return keys.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<HeldDocument> without_parked(std::vector<HeldDocument> held, const DocumentBatch& expected) {
  std::unordered_set<std::string_view> parked;
  for (const ParkedDocument& document : expected.parked()) parked.insert(document.key);
  if (!parked.empty()) std::erase_if(held, [&](const HeldDocument& document) { return parked.contains(document.key); });
  return held;
}

std::vector<Document> as_gone(const std::vector<HeldDocument>& held) {
  std::vector<Document> documents;
  documents.reserve(held.size());
  for (const HeldDocument& each : held)
    documents.push_back({each.key, each.id, each.target, each.member, std::nullopt, {}});
  return documents;
}

}  // namespace anabranch
