#include "sidecar/index/search_reader.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/mapping.hpp"
#include "sidecar/index/shown.hpp"
#include "sidecar/index/tombstones.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

constexpr std::size_t page_documents = 1'000;
constexpr int64_t scan_step_min = page_documents, scan_step_max = scan_step_min << 16;
constexpr std::size_t shown_documents_max = 100;  // whose contents are fetched

// Below own_field.
std::string own(std::string_view name) {
  return fmt::format("{}.{}", own_field, name);
}

// A part of the answer is no answer: a shard that is missing would look like missing documents.
json search(SearchEngine& engine, const std::string& name, const std::string& parameters, const json& query) {
  auto answer = engine.ask("POST", fmt::format("/{}/_search?allow_partial_search_results=false{}", name, parameters),
                           query.dump());
  if (member(answer, "timed_out") == true)
    throw IndexError(IndexError::Kind::busy, "a search took longer than the engine allows", "");
  return answer;
}

enum class Ids { wanted, unwanted };

json search_for_metadata(json query, Ids ids) {
  json search = {{"query", std::move(query)}, {"size", page_documents},
                 {"_source", false},          {"version", true},
                 {"track_total_hits", false}, {"docvalue_fields", {own("mark"), own("deleted")}}};
  if (ids == Ids::unwanted) search["stored_fields"] = "_none_";
  return search;
}

json of_ids(std::span<const Document> documents) {
  json ids = json::array();
  for (const Document& document : documents)
    if (!document.id.empty()) ids.push_back(document.id);  // no document has an empty one, and no query may
  return {{"ids", {{"values", std::move(ids)}}}};
}

// The hits of documents by their place among `documents`, nullptr where there is none; nothing where keys do not tell.
std::optional<std::vector<const SearchHit*>> found_by_key(const std::vector<SearchHit>& hits,
                                                          std::span<const Document> documents) {
  std::unordered_map<std::string_view, const SearchHit*> by_key;
  for (const SearchHit& hit : hits) {
    if (!hit.mark) return std::nullopt;
    by_key.emplace(hit.mark->key, &hit);
  }
  std::vector<const SearchHit*> found;
  std::size_t count = 0;
  for (const Document& document : documents) {
    const auto hit = by_key.find(document.key);
    found.push_back(hit == by_key.end() ? nullptr : hit->second);
    if (found.back() != nullptr) ++count;
  }
  if (count != hits.size()) return std::nullopt;
  return found;
}

std::vector<const SearchHit*> found_by_id(const std::vector<SearchHit>& hits, std::span<const Document> documents) {
  std::unordered_map<std::string_view, const SearchHit*> by_id;
  for (const SearchHit& hit : hits) by_id.emplace(hit.id, &hit);
  std::vector<const SearchHit*> found;
  for (const Document& document : documents) {
    const auto hit = by_id.find(document.id);
    found.push_back(hit == by_id.end() ? nullptr : hit->second);
  }
  return found;
}

// Doc values come as arrays.
const json& first_of(const json& fields, std::string_view name) {
  static const json none;
  const auto& values = member(fields, own(name));
  return values.is_array() && !values.empty() ? values.front() : none;
}

std::optional<IndexVersion> version_of(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<IndexVersion>();
}

// As the engine holds it, byte by byte, or its beginning; empty where it cannot be had.
std::string content_of(SearchEngine& engine, const std::string& name, std::string_view id) {
  const auto answer =
      engine.request("GET", fmt::format("/{}/_source/{}?_source_excludes={}", name, url_escaped(id), own_field));
  if (answer.status != 200 && answer.status != 404) engine.fail(answer);
  return answer.status == 200 ? shown(answer.body) : "";
}

FoundDocument compared(const SearchHit* hit, const Document& expected) {
  FoundDocument found;
  if (hit == nullptr) {
    found.equal = !expected.content;
    return found;
  }
  found.version = hit->version;
  found.present = !hit->deleted;
  found.foreign = !hit->mark || hit->mark->version != hit->version;
  if (expected.content)
    found.equal = found.present && !found.foreign && hit->mark->digest == expected.digest;
  else
    found.equal = !found.present;
  found.stale = found.present && !found.foreign && !found.equal;
  return found;
}

// Where a scan is.
struct ScanPosition {
  int64_t shards = 0, shard = 0;
  int64_t after = -1;  // _seq_no
  int64_t until = -1;  // of this shard, inclusive
  // So many numbers are looked at next: an engine sorts all that a query finds, not only what it returns.
  int64_t step = scan_step_min;

  static ScanPosition from(const std::string& text) {
    const auto parsed = json::parse(text, nullptr, false);
    ScanPosition position;
    const auto read = [&](const char* name, int64_t& value) {
      const auto& number = member(parsed, name);
      if (!number.is_number_integer()) throw std::invalid_argument("no position of a scan: " + text);
      value = number.get<int64_t>();
    };
    read("shards", position.shards);
    read("shard", position.shard);
    read("after", position.after);
    read("until", position.until);
    read("step", position.step);
    return position;
  }
  std::string to_text() const {
    return json{{"shards", shards}, {"shard", shard}, {"after", after}, {"until", until}, {"step", step}}.dump();
  }
};

json by_number(const char* direction) {
  return json::array({json::object({{"_seq_no", direction}})});
}

std::string of_shard(int64_t shard) {
  return fmt::format("&preference=_shards:{}", shard);
}

// What is no tombstone there.
json live_between(const ScanPosition& position) {
  json live = no_tombstones();
  live["bool"]["filter"] = {{"range", {{"_seq_no", {{"gt", position.after}, {"lte", position.until}}}}}};
  return live;
}

int64_t count_shards(SearchEngine& engine, const std::string& name) {
  const auto answer =
      engine.ask("GET", fmt::format("/{}/_settings?filter_path=*.settings.index.number_of_shards", name));
  const auto& index = member(member(member(answer, name), "settings"), "index");
  const int64_t shards = std::atoll(text_of(member(index, "number_of_shards")).c_str());
  if (shards < 1) throw IndexError(IndexError::Kind::unreachable, fmt::format("index \"{}\" is gone", name), "");
  return shards;
}

int64_t last_number(SearchEngine& engine, const std::string& name, int64_t shard) {
  const json last = {{"size", 1}, {"_source", false}, {"track_total_hits", false}, {"sort", by_number("desc")}};
  const auto hits = read_hits(search(engine, name, of_shard(shard), last));
  return hits.empty() ? -1 : hits.front().number.value_or(-1);
}

}  // namespace

std::vector<SearchHit> read_hits(const json& answer) {
  std::vector<SearchHit> hits;
  const auto& list = member(member(answer, "hits"), "hits");
  if (!list.is_array()) return hits;
  hits.reserve(list.size());
  for (const json& item : list) {
    if (!item.is_object()) continue;
    SearchHit hit;
    hit.id = text_of(member(item, "_id"));
    hit.version = version_of(member(item, "_version"));
    const auto& sort = member(item, "sort");
    if (sort.is_array() && !sort.empty() && sort.front().is_number_integer()) hit.number = sort.front().get<int64_t>();
    const auto& fields = member(item, "fields");
    auto mark = read_mark(text_of(first_of(fields, "mark")));
    if (mark && may_be_key(mark->key)) hit.mark = std::move(mark);
    hit.deleted = first_of(fields, "deleted").is_number_integer();
    hits.push_back(std::move(hit));
  }
  return hits;
}

void refresh_index(SearchEngine& engine, const std::string& name) {
  const auto answer = engine.ask("POST", fmt::format("/{}/_refresh", name));
  if (const auto& failed = member(member(answer, "_shards"), "failed"); failed != 0)
    throw IndexError(IndexError::Kind::busy, fmt::format("shards of \"{}\" could not be refreshed", name), "");
}

std::vector<FoundDocument> inspect_index(SearchEngine& engine, const std::string& name,
                                         std::span<const Document> expected) {
  std::vector<FoundDocument> found;
  found.reserve(expected.size());
  refresh_index(engine, name);
  for (auto rest = expected; !rest.empty();) {
    const auto page = rest.first(std::min(rest.size(), page_documents));
    rest = rest.subspan(page.size());
    const json query = of_ids(page);
    auto hits = read_hits(search(engine, name, "", search_for_metadata(query, Ids::unwanted)));
    auto of_page = found_by_key(hits, page);
    if (!of_page) {
      hits = read_hits(search(engine, name, "", search_for_metadata(query, Ids::wanted)));
      of_page = found_by_id(hits, page);
    }
    for (std::size_t i = 0; i < page.size(); ++i) found.push_back(compared((*of_page)[i], page[i]));
  }
  std::size_t shown = 0;
  for (std::size_t i = 0; i < found.size() && shown < shown_documents_max; ++i) {
    if (!found[i].present || found[i].equal) continue;
    found[i].actual = content_of(engine, name, expected[i].id);
    ++shown;
  }
  return found;
}

HeldPage scan_index(SearchEngine& engine, const std::string& name, const std::string& after) {
  HeldPage page;
  ScanPosition position;
  if (after.empty()) {
    refresh_index(engine, name);
    position.shards = count_shards(engine, name);
    position.until = last_number(engine, name, 0);
  } else {
    position = ScanPosition::from(after);
  }
  ScanPosition part = position;
  part.until = std::min(position.until, position.after + position.step);
  json query = search_for_metadata(live_between(part), Ids::unwanted);
  query["sort"] = by_number("asc");
  auto hits = read_hits(search(engine, name, of_shard(position.shard), query));
  for (SearchHit& hit : hits) page.documents.push_back({hit.mark ? std::move(hit.mark->key) : "", "", "", ""});
  if (hits.size() == page_documents) part.until = hits.back().number.value_or(part.until);
  page.part = part.to_text();
  // Numbers of documents that were written again are gone.
  if (hits.size() < page_documents / 2) position.step = std::min(position.step * 2, scan_step_max);
  if (hits.size() == page_documents) position.step = std::max(position.step / 2, scan_step_min);
  if (part.until < position.until) {
    position.after = part.until;
  } else if (++position.shard < position.shards) {
    position.after = -1;
    position.until = last_number(engine, name, position.shard);
  } else {
    return page;
  }
  page.next = position.to_text();
  return page;
}

std::vector<HeldDocument> extra_of_index(SearchEngine& engine, const std::string& name, const HeldPage& page,
                                         std::span<const Document> expected) {
  std::vector<Document> present;
  for (const Document& document : expected)
    if (document.content) present.push_back(document);
  const auto part = ScanPosition::from(page.part);
  json query = live_between(part);
  json tombstones = std::move(query["bool"]["must_not"]);
  query["bool"]["must_not"] = json::array({std::move(tombstones), of_ids(present)});
  // A write that was under way may have come into this part since: nobody has asked the copy for its key.
  std::unordered_set<std::string_view> asked;
  for (const HeldDocument& held : page.documents) asked.insert(held.key);
  std::vector<HeldDocument> extra;
  for (SearchHit& hit :
       read_hits(search(engine, name, of_shard(part.shard), search_for_metadata(std::move(query), Ids::wanted))))
    if (!hit.mark || asked.contains(hit.mark->key))
      extra.push_back({hit.mark ? std::move(hit.mark->key) : "", std::move(hit.id), "", ""});
  return extra;
}

}  // namespace anabranch
