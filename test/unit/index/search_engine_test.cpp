#include "sidecar/index/search_engine.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sidecar/index/index.hpp"
#include "test/unit/index/search_stub.hpp"

namespace anabranch {
namespace {

using test::HttpStub;
using test::opensearch_root;
using test::settings_for;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// "refused: what() / remedy", or "".
template <typename Call>
std::string outcome(Call call) {
  try {
    call();
    return "";
  } catch (const IndexError& error) {
    return (error.kind() == IndexError::Kind::busy      ? "busy: "
            : error.kind() == IndexError::Kind::refused ? "refused: "
                                                        : "unreachable: ") +
           std::string(error.what()) + " / " + error.remedy();
  }
}

class SearchEngineTest : public ::testing::Test {
 protected:
  std::string connecting(const IndexSettings& settings) {
    return outcome([&] { SearchEngine(settings, stop_).connect(); });
  }
  std::string connecting_to(const std::string& root, IndexSettings::Kind kind = IndexSettings::Kind::opensearch) {
    HttpStub stub({HttpStub::answer(200, root)});
    auto settings = settings_for(stub);
    settings.kind = kind;
    return connecting(settings);
  }
  std::string asking(const std::string& answer) {
    HttpStub stub({opensearch_root, answer});
    SearchEngine engine(settings_for(stub), stop_);
    engine.connect();
    return outcome([&] { engine.ask("GET", "/a?b=c"); });
  }

  Stop stop_;
};

TEST_F(SearchEngineTest, KnowsKindsAndVersions) {
  const std::string opensearch = R"({"version":{"distribution":"opensearch","number":"2.4.0"}})";
  const std::string elasticsearch = R"({"version":{"number":"8.14.1","build_flavor":"default"}})";
  EXPECT_EQ(connecting_to(opensearch), "");
  EXPECT_EQ(connecting_to(elasticsearch, IndexSettings::Kind::elasticsearch), "");
  EXPECT_EQ(connecting_to(R"({"version":{"number":"10.0.0-SNAPSHOT"}})", IndexSettings::Kind::elasticsearch), "");
  EXPECT_THAT(connecting_to(opensearch, IndexSettings::Kind::elasticsearch),
              AllOf(HasSubstr("refused: "), HasSubstr("set kind = \"opensearch\"")));
  EXPECT_THAT(connecting_to(elasticsearch), HasSubstr("set kind = \"elasticsearch\""));
  EXPECT_THAT(connecting_to(R"({"version":{"distribution":"opensearch","number":"1.3.9"}})"),
              HasSubstr("use opensearch 2.0 or later"));
  EXPECT_THAT(connecting_to(R"({"version":{"number":"7.17.0"}})", IndexSettings::Kind::elasticsearch),
              HasSubstr("use elasticsearch 8.0 or later"));
  for (const char* root : {"", "<html>", "[]", "{}", R"({"version":2})", R"({"version":{"number":2}})"})
    EXPECT_THAT(connecting_to(root), AllOf(HasSubstr("refused: "), HasSubstr("is no search engine"))) << root;
}

TEST_F(SearchEngineTest, TellsWhatPassesFromWhatDoesNot) {
  const auto error = [](int status, const std::string& type) {
    return HttpStub::answer(status, fmt::format(R"({{"error":{{"type":"{}","reason":"why"}}}})", type));
  };
  EXPECT_THAT(asking(error(401, "security_exception")), AllOf(HasSubstr("refused: "), HasSubstr("password_file")));
  EXPECT_THAT(asking(error(403, "security_exception")), AllOf(HasSubstr("refused: "), HasSubstr("grant")));
  EXPECT_THAT(asking(error(403, "cluster_block_exception")), AllOf(HasSubstr("busy: "), HasSubstr("disk space")));
  EXPECT_THAT(asking(error(400, "illegal_argument_exception")), HasSubstr("refused: "));
  EXPECT_THAT(asking(error(404, "index_not_found_exception")),
              AllOf(HasSubstr("unreachable: "), Not(HasSubstr("b=c"))));
  EXPECT_THAT(asking(error(429, "circuit_breaking_exception")), HasSubstr("busy: "));
  EXPECT_THAT(asking(HttpStub::answer(503, "later")), HasSubstr("busy: "));
  EXPECT_THAT(asking(HttpStub::answer(302, "", "Location: http://127.0.0.1:1/\r\n")), HasSubstr("refused: "));
  EXPECT_THAT(asking(HttpStub::answer(200, "hello")), HasSubstr("refused: "));
  EXPECT_THAT(asking("HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{"), HasSubstr("unreachable: "));
}

TEST_F(SearchEngineTest, TriesItsNodesInTurn) {
  std::string gone;
  {
    HttpStub stub({});
    gone = stub.url();
  }
  HttpStub stub({opensearch_root});
  auto settings = settings_for(stub);
  settings.urls = {gone, gone, stub.url()};
  EXPECT_EQ(connecting(settings), "");
  settings.urls = {gone, gone};
  EXPECT_THAT(connecting(settings), AllOf(HasSubstr("unreachable: "), HasSubstr(gone)));

  // One that does not answer may have done what it was asked: the next one has its turn in the next call.
  HttpStub silent({}), other({opensearch_root});
  settings.urls = {silent.url(), other.url()};
  settings.request_timeout = std::chrono::milliseconds(50);
  SearchEngine engine(settings, stop_);
  EXPECT_THAT(outcome([&] { engine.connect(); }), AllOf(HasSubstr("unreachable: "), HasSubstr(silent.url())));
  EXPECT_EQ(outcome([&] { engine.connect(); }), "");
}

TEST_F(SearchEngineTest, ReadsThePasswordEachTime) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("anabranch-password-{}", getpid());
  const auto save = [&](const char* password) {
    std::ofstream(path) << password << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  };
  HttpStub stub({HttpStub::answer(401, ""), opensearch_root});
  auto settings = settings_for(stub);
  settings.user = "me";
  settings.password_file = path;
  SearchEngine engine(settings, stop_);
  save("wrong");
  EXPECT_THAT(outcome([&] { engine.connect(); }), AllOf(HasSubstr("refused: "), Not(HasSubstr("wrong"))));
  save("s3cret");
  EXPECT_EQ(outcome([&] { engine.connect(); }), "");
  EXPECT_THAT(stub.requests()[0], HasSubstr("Authorization: Basic bWU6d3Jvbmc="));
  EXPECT_THAT(stub.requests()[1], HasSubstr("Authorization: Basic bWU6czNjcmV0"));
  std::filesystem::remove(path);
  EXPECT_THAT(outcome([&] { engine.connect(); }), AllOf(HasSubstr("refused: "), HasSubstr("cannot be read")));
}

TEST_F(SearchEngineTest, TakesOnlyAddresses) {
  const auto making = [&](std::vector<std::string> urls) {
    IndexSettings settings;
    settings.urls = std::move(urls);
    return outcome([&] { SearchEngine(settings, stop_); });
  };
  EXPECT_THAT(making({}), HasSubstr("refused: "));
  EXPECT_THAT(making({"http://search:9200", "search:9200"}), HasSubstr("refused: "));
  EXPECT_THAT(making({"http://me:s3cret@search"}), AllOf(HasSubstr("refused: "), Not(HasSubstr("s3cret"))));
  EXPECT_EQ(making({"https://search:9200/"}), "");
}

}  // namespace
}  // namespace anabranch
