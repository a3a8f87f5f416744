// Tests that need a search engine. ANABRANCH_TEST_OPENSEARCH is the address of one they may do anything to; without it
// they are skipped. Their suites' names begin with "DatabaseSearch".
#pragma once

#include <atomic>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sidecar/net/http_client.hpp"
#include "sidecar/index/search_index.hpp"

namespace anabranch::test {

class SearchServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* url = std::getenv("ANABRANCH_TEST_OPENSEARCH");
    if (url == nullptr) GTEST_SKIP() << "ANABRANCH_TEST_OPENSEARCH is not set";
    settings_.urls = {url};
    definition_.name = fmt::format("test-{}-{}", getpid(), ++number_);
    definition_.owner = "1/shop";
    definition_.options = nlohmann::json::object();
    definition_.columns = {{"id", "bigint"}, {"n", "integer"}, {"t", "text"}};
  }
  void TearDown() override {
    if (settings_.urls.empty()) return;
    const auto left = call("GET", fmt::format("/{}*/_settings", definition_.name));
    for (const auto& [name, index] : left.items()) call("DELETE", "/" + name);
  }

  std::unique_ptr<ExternalIndex> index() { return make_search_index(settings_, definition_, stop_); }
  std::string name() const { return definition_.name; }
  std::string generation() const { return fmt::format("{}-{:06}", definition_.name, definition_.generation); }

  // What somebody else does to the engine.
  nlohmann::json call(const std::string& method, const std::string& path, const std::string& body = "") {
    HttpClient client({.timeout = std::chrono::milliseconds(60'000)});
    const auto answer = client.perform({.method = method,
                                        .url = settings_.urls.front() + path,
                                        .body = body,
                                        .headers = {"Content-Type: application/json"}});
    return nlohmann::json::parse(answer.body, nullptr, false);
  }
  // The _id of what readers find, in order.
  std::vector<std::string> readers_find() {
    const auto answer = call("GET", fmt::format("/{}/_search?size=1000&sort=id:asc", name()));
    std::vector<std::string> ids;
    if (answer.contains("hits"))
      for (const auto& hit : answer["hits"]["hits"]) ids.push_back(hit["_id"]);
    return ids;
  }

  // Documents whose texts live as long as the test.
  Document document(int id, const std::string& content, const std::string& digest) {
    return {.key = keep(fmt::format(R"({{"id": {}}})", id)),
            .id = keep(std::to_string(id)),
            .target = {},
            .member = {},
            .content = keep(content),
            .digest = keep(digest)};
  }
  Document document(int id, int n) {
    return document(id, fmt::format(R"({{"id": {}, "n": {}, "t": "text {}"}})", id, n, n), fmt::format("{:032x}", n));
  }
  Document gone(int id) {
    Document document = this->document(id, 0);
    document.content.reset();
    document.digest = {};
    return document;
  }

  Stop stop_;
  IndexSettings settings_;
  IndexDefinition definition_;

 private:
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  static inline std::atomic<int> number_{0};
  std::deque<std::string> texts_;
};

}  // namespace anabranch::test
