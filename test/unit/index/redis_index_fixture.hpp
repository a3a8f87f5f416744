// For the tests of indexes in Redis: documents, and an index that is opened, written and read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sidecar/index/redis_index.hpp"
#include "test/unit/index/redis_server.hpp"

namespace anabranch::test {

// What the indexes of the fixture are opened with.
inline constexpr uint64_t token = 7;
// The keys that the sidecar keeps about the index "copy".
inline constexpr std::string_view documents_key = "anabranch:copy:documents",
                                  tombstones_key = "anabranch:copy:tombstones",
                                  checkpoint_key = "anabranch:copy:checkpoint";

// Documents are valid as long as the texts that they are made of.
inline Document string_document(std::string_view target, std::optional<std::string_view> content) {
  return {.key = R"({"id": 1})", .id = target, .target = target, .member = {}, .content = content, .digest = {}};
}
inline Document member_document(std::string_view target, std::string_view member,
                                std::optional<std::string_view> content) {
  return {.key = R"({"id": 1})", .id = member, .target = target, .member = member, .content = content, .digest = {}};
}

inline IndexDefinition definition_of(nlohmann::json options, int64_t generation = 1) {
  IndexDefinition definition;
  definition.name = "copy";
  definition.owner = "7/shop";
  definition.generation = generation;
  definition.options = std::move(options);
  return definition;
}

// "KIND: what; remedy", or that nothing was thrown.
inline std::string failure(const std::function<void()>& work) {
  using Kind = IndexError::Kind;
  try {
    work();
  } catch (const IndexError& error) {
    const auto* const kind = error.kind() == Kind::unreachable ? "unreachable"
                             : error.kind() == Kind::busy      ? "busy"
                                                               : "refused";
    return std::string(kind) + ": " + error.what() + "; " + error.remedy();
  }
  return "nothing was thrown";
}

class RedisIndexTest : public RedisTest {
 protected:
  std::unique_ptr<ExternalIndex> make(IndexDefinition definition) {
    if (settings_.urls.empty()) settings_.urls = {url_};
    return make_redis_index(settings_, std::move(definition), stop_);
  }
  std::unique_ptr<ExternalIndex> opened(nlohmann::json options = nlohmann::json::object(), int64_t generation = 1) {
    auto index = make(definition_of(std::move(options), generation));
    index->open(token);
    return index;
  }
  // All that a scan gives: "KEY TARGET MEMBER", each document once.
  static std::vector<std::string> held(ExternalIndex& index) {
    std::map<std::string, std::string> found;
    std::string after;
    do {
      const auto page = index.scan(after);
      for (const auto& document : page.documents)
        found[document.id] = document.key + " " + document.target + " " + document.member;
      after = page.next;
    } while (!after.empty());
    std::vector<std::string> texts;
    for (const auto& [id, text] : found) texts.push_back(text);
    return texts;
  }
  static FoundDocument inspected(ExternalIndex& index, const Document& expected) {
    const auto found = index.inspect({&expected, 1});
    EXPECT_EQ(found.size(), 1U);
    return found.at(0);
  }
  static std::vector<RefusedDocument> write(ExternalIndex& index, const std::vector<Document>& documents,
                                            IndexVersion version) {
    return index.write(documents, version);
  }
  static std::vector<std::string> reasons(const std::vector<RefusedDocument>& refused) {
    std::vector<std::string> texts;
    for (const auto& document : refused) texts.push_back(std::to_string(document.place) + ": " + document.reason);
    return texts;
  }

  IndexSettings settings_ = [] {
    IndexSettings settings;
    settings.kind = IndexSettings::Kind::redis;
    return settings;
  }();
};

}  // namespace anabranch::test
