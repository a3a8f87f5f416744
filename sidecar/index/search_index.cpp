// How an index that others may break is kept ours:
//
// 1. open() makes "NAME-000001" with the owner in _meta and a hidden alias "NAME-000001-write", in one request. What is
//    there already must have the same owner. The engine's UUID of the index is its identity.
// 2. Documents are written through that alias, by requests that insist on it being one: when the index is deleted, the
//    alias is gone with it, and a late write makes no index, as it would by its name.
// 3. make_visible() compares the UUID, so that an index that was made anew does not pass for the one that was filled.
//    After any IndexError the caller opens again, and learns by the identity whether it has to fill it again.
// 4. publish() swaps the readers' alias in one request that either happens as a whole or not at all.
#include "sidecar/index/search_index.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/bulk_writer.hpp"
#include "sidecar/index/index_options.hpp"
#include "sidecar/index/mapping.hpp"
#include "sidecar/index/search_engine.hpp"
#include "sidecar/index/search_names.hpp"
#include "sidecar/index/search_reader.hpp"
#include "sidecar/index/tombstones.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& problem, const std::string& remedy) {
  throw IndexError(IndexError::Kind::refused, problem, remedy);
}

class SearchIndex : public ExternalIndex {
 public:
  SearchIndex(const IndexSettings& settings, IndexDefinition definition, const Stop& stop)
      : engine_(settings, stop), definition_(std::move(definition)) {}

  OpenedIndex open(uint64_t token) override;
  void write_all(DocumentStream& stream, IndexVersion version) override;
  void make_visible() override;
  std::chrono::milliseconds visible_within() const override { return engine_.settings().refresh_interval; }
  std::vector<FoundDocument> inspect(std::span<const Document> expected) override {
    return inspect_index(engine_, name_, expected);
  }
  HeldPage scan(const std::string& after) override { return scan_index(engine_, name_, after); }
  std::vector<HeldDocument> extra(const HeldPage& page, std::span<const Document> expected) override {
    return extra_of_index(engine_, name_, page, expected);
  }
  bool side_by_side() const override { return true; }
  void publish() override;
  void drop() override;

 private:
  // Throws IndexError (refused) for options that mean nothing here.
  void understand();
  // Whether it has: somebody else may have been quicker.
  bool create();
  void check_ours(const json& index) const;
  void check_alias();
  std::vector<std::string> indexes_of_alias();
  std::vector<std::pair<std::string, int64_t>> own_generations();
  void remove(const std::string& name);
  std::string current_identity();
  void purge_tombstones();

  SearchEngine engine_;
  const IndexDefinition definition_;
  std::string alias_, name_;  // from open() or drop() on
  std::optional<BulkWriter> writer_;
  TombstonePurge purge_;
  std::string identity_;
};

// Fencing is the versions' business here: an engine knows no tokens.
OpenedIndex SearchIndex::open(uint64_t) {
  understand();
  engine_.connect();
  check_alias();
  auto found = engine_.find("GET", "/" + name_);
  bool is_new = false;
  if (!found) {
    is_new = create();
    found = engine_.ask("GET", "/" + name_);
  }
  const auto& index = member(*found, name_);
  check_ours(index);
  if (!member(index, "aliases").contains(writer_alias(name_)))
    engine_.ask("PUT", fmt::format("/{}/_alias/{}", name_, writer_alias(name_)), R"({"is_hidden":true})");
  identity_ = text_of(member(member(member(index, "settings"), "index"), "uuid"));
  const auto& readers = member(member(index, "aliases"), alias_);
  return {.identity = identity_,
          .version = std::nullopt,
          .is_new = is_new,
          .is_published = member(readers, "filter") == no_tombstones()};
}

void SearchIndex::understand() {
  if (definition_.options.value("shape", json("json")) != "json")
    refuse_options(definition_, {"shape"}, "a search engine");
  refuse_options(definition_, {"key", "member", "score", "ttl", "slot"}, "a search engine");
  alias_ = reader_alias(definition_);
  name_ = generation_name(alias_, definition_.generation);
  if (!writer_) writer_.emplace(engine_, writer_alias(name_));
}

bool SearchIndex::create() {
  const json body = {{"settings", settings_of(definition_)},
                     {"mappings", mapping_of(definition_)},
                     {"aliases", {{writer_alias(name_), {{"is_hidden", true}}}}}};
  const auto answer = engine_.request("PUT", "/" + name_, body.dump());
  if (answer.status / 100 == 2) return true;
  const auto reason = reason_in(answer.body);
  if (reason.type == "resource_already_exists_exception") return false;
  if (answer.status == 400)
    refuse(fmt::format("the search engine makes no index \"{}\": {}", name_, reason.text),
           "correct the options \"mapping\" and \"settings\", or the names of columns");
  engine_.fail(answer);
}

void SearchIndex::check_ours(const json& index) const {
  if (!index.is_object())
    refuse(fmt::format("\"{}\" is the name of something else at the search engine", name_),
           "choose another name with the option \"index\"");
  const auto& own = member(member(member(index, "mappings"), "_meta"), own_field);
  if (own.is_null())
    refuse(fmt::format("there is an index \"{}\" that Anabranch has not made", name_),
           "delete it, or choose another name with the option \"index\"");
  if (member(own, "owner") != definition_.owner)
    refuse(fmt::format("index \"{}\" belongs to another database, or to another index of this one ({})", name_,
                       one_line(text_of(member(own, "owner")))),
           "choose another name with the option \"index\", or delete it when that database is no more");
  if (member(own, "format") != 1)
    refuse(fmt::format("index \"{}\" was made by a newer version of Anabranch", name_), "use that version");
}

// Readers' name must be free, or an alias of ours.
void SearchIndex::check_alias() {
  const auto own = own_generations();
  for (const std::string& name : indexes_of_alias()) {
    if (name == alias_)
      refuse(
          fmt::format("\"{}\" is an index at the search engine, and so cannot be the name by which readers find ours",
                      alias_),
          "choose another name with the option \"index\", or delete that index");
    if (std::none_of(own.begin(), own.end(), [&](const auto& generation) { return generation.first == name; }))
      refuse(fmt::format("the alias \"{}\" leads to index \"{}\", which is not ours", alias_, name),
             "choose another name with the option \"index\", or remove that alias");
  }
}

std::vector<std::string> SearchIndex::indexes_of_alias() {
  std::vector<std::string> names;
  const auto found = engine_.find("GET", fmt::format("/{}/_settings?filter_path=*.settings.index.uuid", alias_));
  if (found)
    for (const auto& [name, settings] : found->items()) names.push_back(name);
  return names;
}

std::vector<std::pair<std::string, int64_t>> SearchIndex::own_generations() {
  std::vector<std::pair<std::string, int64_t>> own;
  const auto found =
      engine_.find("GET", fmt::format("/{}-*/_mapping?filter_path=*.mappings._meta.{}", alias_, own_field));
  if (!found) return own;
  for (const auto& [name, index] : found->items()) {
    const auto generation = generation_of(name, alias_);
    const auto& meta = member(member(member(index, "mappings"), "_meta"), own_field);
    if (generation && member(meta, "owner") == definition_.owner) own.emplace_back(name, *generation);
  }
  return own;
}

void SearchIndex::write_all(DocumentStream& stream, IndexVersion version) {
  writer_->write_all(stream, version);
  purge_.written(version, TombstonePurge::Clock::now());
}

void SearchIndex::make_visible() {
  refresh_index(engine_, name_);
  if (current_identity() != identity_)
    throw IndexError(IndexError::Kind::unreachable,
                     fmt::format("index \"{}\" has been deleted, or made anew, behind our back", name_), "");
  purge_tombstones();
}

std::string SearchIndex::current_identity() {
  const auto found = engine_.find("GET", fmt::format("/{}/_settings?filter_path=*.settings.index.uuid", name_));
  if (!found) return "";
  return text_of(member(member(member(member(*found, name_), "settings"), "index"), "uuid"));
}

// The engine keeps a record of each such task: none is begun for nothing.
void SearchIndex::purge_tombstones() {
  const auto version = purge_.due(TombstonePurge::Clock::now());
  if (!version) return;
  const auto query = json{{"query", tombstones_before(*version)}}.dump();
  const auto some = engine_.ask("POST", fmt::format("/{}/_count?terminate_after=1", name_), query);
  if (member(some, "count") == 0) return;
  engine_.ask("POST", fmt::format("/{}/_delete_by_query?conflicts=proceed&wait_for_completion=false", name_), query);
}

void SearchIndex::publish() {
  check_alias();
  const auto own = own_generations();
  json actions = json::array();
  for (const std::string& name : indexes_of_alias()) {
    if (name == name_) continue;
    if (generation_of(name, alias_) > definition_.generation)
      refuse(fmt::format("readers of \"{}\" have a newer generation already, \"{}\"", alias_, name),
             "delete that index when the database was restored from before it");
    actions.push_back({{"remove", {{"index", name}, {"alias", alias_}}}});
  }
  actions.push_back({{"add", {{"index", name_}, {"alias", alias_}, {"filter", no_tombstones()}}}});
  engine_.ask("POST", "/_aliases", json{{"actions", std::move(actions)}}.dump());
  for (const auto& [name, generation] : own)
    if (generation < definition_.generation) remove(name);
}

void SearchIndex::drop() {
  try {
    alias_ = reader_alias(definition_);
  } catch (const IndexError&) {
    return;  // no engine has an index of such a name
  }
  engine_.connect();
  for (const auto& [name, generation] : own_generations()) remove(name);
}

void SearchIndex::remove(const std::string& name) {
  engine_.find("DELETE", "/" + name);
}

}  // namespace

std::unique_ptr<ExternalIndex> make_search_index(const IndexSettings& settings, IndexDefinition definition,
                                                 const Stop& stop) {
  return std::make_unique<SearchIndex>(settings, std::move(definition), stop);
}

}  // namespace anabranch
