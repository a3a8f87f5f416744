// The sections [index.NAME]: where engines are, made whole, and what is refused before anything is sent there.
#include "sidecar/cli/config_index.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/cli/config.hpp"
#include "test/unit/cli/one_mistake.hpp"

namespace anabranch {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ConfigIndex, EveryKeyIsRead) {
  const auto settings = parse_config(R"(
[index.search]
kind = "elasticsearch"
url = ["https://search1:9200/", "https://[::1]:9201/behind/a/proxy"]
user = "anabranch"
password_file = "/etc/anabranch/search-password"
ca_file = "/etc/anabranch/search-ca.crt"
certificate_file = "/etc/anabranch/anabranch.crt"
key_file = "/etc/anabranch/anabranch.key"
bulk_bytes_max = "2 MB"
in_flight_max = 16
refresh_interval = "30 s"
request_timeout = "5 s"
)",
                                     "f");
  IndexSettings search;
  search.kind = IndexSettings::Kind::elasticsearch;
  search.urls = {"https://search1:9200", "https://[::1]:9201/behind/a/proxy"};
  search.user = "anabranch";
  search.password_file = "/etc/anabranch/search-password";
  search.tls.ca = "/etc/anabranch/search-ca.crt";
  search.tls.certificate = "/etc/anabranch/anabranch.crt";
  search.tls.key = "/etc/anabranch/anabranch.key";
  search.bulk_bytes_max = 2 << 20;
  search.in_flight_max = 16;
  search.refresh_interval = std::chrono::seconds(30);
  search.request_timeout = std::chrono::seconds(5);
  EXPECT_EQ(settings.indexes, (IndexSections{{"search", search}}));
}

TEST(ConfigIndex, SectionsLieBesideEachOtherWithTheirDefaults) {
  const auto settings = parse_config(R"(
[index.search]
kind = "opensearch"
url = "http://localhost:9200"
[index.Cache_2-eu]
kind = "redis"
url = "redis://cache1"
password_file = "/etc/anabranch/cache-password"
)",
                                     "f");
  IndexSettings search;
  search.urls = {"http://localhost:9200"};
  IndexSettings cache;
  cache.kind = IndexSettings::Kind::redis;
  cache.urls = {"redis://cache1:6379/0"};
  cache.password_file = "/etc/anabranch/cache-password";
  EXPECT_EQ(settings.indexes, (IndexSections{{"Cache_2-eu", cache}, {"search", search}}));
  EXPECT_TRUE(parse_config("[index]", "f").indexes.empty());
}

TEST(ConfigIndex, AddressesAreMadeWhole) {
  struct Case {
    const char* kind;
    const char* url;
    const char* meant;
  };
  for (const auto& [kind, url, meant] : std::initializer_list<Case>{
           {"opensearch", "https://search1", "https://search1"},
           {"opensearch", "http://10.0.0.1:65535//", "http://10.0.0.1:65535"},
           {"redis", "redis://cache1:6380/15", "redis://cache1:6380/15"},
           {"redis", "redis://cache1:6380/", "redis://cache1:6380/0"},
           {"redis", "redis://[fe80::1]", "redis://[fe80::1]:6379/0"},
           {"redis", "rediss://cache1", "rediss://cache1:6379/0"},
           {"redis", "unix:///run/redis/a@b c.sock", "unix:///run/redis/a@b c.sock"},
           {"redis", "unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=3"},
       }) {
    const auto text = fmt::format("[index.a]\nkind = \"{}\"\nurl = \"{}\"", kind, url);
    EXPECT_EQ(parse_config(text, "f").indexes.at("a").urls, std::vector<std::string>{meant});
  }
}

TEST(ConfigIndex, MistakesAreNamedWithPlaceAndRemedy) {
  const std::string search = "[index.a]\nkind = \"opensearch\"\nurl = \"http://a:9200\"\n";
  const std::string secure = "[index.a]\nkind = \"opensearch\"\nurl = \"https://a:9200\"\n";
  const std::string redis = "[index.a]\nkind = \"redis\"\nurl = \"redis://a\"\n";
  const std::string redis_socket = "[index.a]\nkind = \"redis\"\nurl = [\"rediss://a\", \"unix:///a\"]\n";
  const auto at = [](std::string_view kind, std::string_view url) {
    return fmt::format("[index.a]\nkind = \"{}\"\nurl = \"{}\"", kind, url);
  };
  struct Case {
    std::string text;
    size_t line;
    std::string key;
    const char* problem;
    const char* remedy;
  };
  for (const auto& [text, line, key, problem, remedy] : std::initializer_list<Case>{
           {"index = 1", 1, "index", "a number, not a section", "[index.NAME]"},
           {"[[index]]", 1, "index", "a list, not a section", "[index.NAME]"},
           {"[index]\nkind = \"redis\"", 2, "index.kind", "a string, not a section", "[index.NAME]"},
           {"\n[index.\"a b\"]", 2, "index.\"a b\"", "cannot name", "at most 63 letters, digits, _ and -"},
           {"[index." + std::string(64, 'a') + "]", 1, "index.\"" + std::string(64, 'a') + "\"", "cannot name",
            "at most 63"},
           {"[index.a]\nurl = \"http://a\"", 1, "index.a.kind", "missing", "\"elasticsearch\" or \"redis\""},
           {"[index.a]\nkind = \"solr\"\nurl = \"http://a\"", 2, "index.a.kind", "\"solr\", which is unknown",
            "\"opensearch\", \"elasticsearch\", \"redis\""},
           {"[index.a]\nkind = \"redis\"", 1, "index.a.url", "missing", "redis://cache1:6379/0"},
           {search + "urls = \"x\"", 4, "index.a.urls", "no key", "did you mean url?"},
           {search + "colour = \"x\"", 4, "index.a.colour", "no key", "keys here are kind, url, user, password_file"},
           {"refresh_intervall = \"1 s\"", 1, "refresh_intervall", "no key", "refresh_interval in [index.NAME]"},
           {search + "password = \"x\"", 4, "index.a.password", "not to stand", "password_file ="},
           {search + "user = \"x\"", 4, "index.a.user", "no password", "password_file ="},
           {search + "password_file = \"x\"", 4, "index.a.password_file", "nobody", "user ="},
           {redis + "user = \"x\"", 4, "index.a.user", "no password", "password_file ="},
           {search + "ca_file = \"x\"", 4, "index.a.ca_file", "does not say https://", "write https://"},
           {redis + "ca_file = \"x\"", 4, "index.a.ca_file", "does not say rediss://", "write rediss://"},
           {redis_socket + "ca_file = \"x\"", 4, "index.a.ca_file", "does not say rediss://", "leave the line out"},
           {secure + "certificate_file = \"x\"", 4, "index.a.certificate_file", "has no key", "key_file ="},
           {secure + "key_file = \"x\"", 4, "index.a.key_file", "of no certificate", "certificate_file ="},
           {redis + "refresh_interval = \"1 s\"", 4, "index.a.refresh_interval", "at once", "leave the line out"},
           {secure + "bulk_bytes_max = 5", 4, "index.a.bulk_bytes_max", "with a unit", "as in"},
           {secure + "bulk_bytes_max = \"5\"", 4, "index.a.bulk_bytes_max", "no unit", "as in"},
           {secure + "bulk_bytes_max = \"1 B\"", 4, "index.a.bulk_bytes_max", "outside 1 kB to 100 MB", "between"},
           {secure + "in_flight_max = 0", 4, "index.a.in_flight_max", "outside 1 to 16", "1 to 16"},
           {secure + "in_flight_max = 17", 4, "index.a.in_flight_max", "outside 1 to 16", "1 to 16"},
           {secure + "refresh_interval = \"1 ms\"", 4, "index.a.refresh_interval", "outside 100 ms", "between"},
           {secure + "request_timeout = \"1 d\"", 4, "index.a.request_timeout", "outside 100 ms to 1 h", "between"},
           {"[index.a]\nkind = \"redis\"\nurl = 1", 3, "index.a.url", "a number, not a string", "write it as"},
           {"[index.a]\nkind = \"redis\"\nurl = []", 3, "index.a.url", "is empty", "write it as"},
           {at("opensearch", "redis://a"), 3, "index.a.url", "neither https:// nor http://", "https://HOST:PORT"},
           {at("opensearch", "search1:9200"), 3, "index.a.url", "neither https:// nor http://", "https://HOST:PORT"},
           {at("elasticsearch", "HTTPS://a"), 3, "index.a.url", "neither https:// nor http://", "https://HOST:PORT"},
           {at("opensearch", "https://"), 3, "index.a.url", "no host", "https://HOST:PORT"},
           {at("opensearch", "https://:9200"), 3, "index.a.url", "no host", "https://HOST:PORT"},
           {at("opensearch", "https://[::1"), 3, "index.a.url", "no host", "https://HOST:PORT"},
           {at("opensearch", "https://a:0"), 3, "index.a.url", "a port", "https://HOST:PORT"},
           {at("opensearch", "https://a:"), 3, "index.a.url", "a port", "https://HOST:PORT"},
           {at("opensearch", "https://a:65536"), 3, "index.a.url", "a port", "https://HOST:PORT"},
           {at("opensearch", "https://a/?pretty"), 3, "index.a.url", "characters", "https://HOST:PORT"},
           {at("opensearch", "https://a /"), 3, "index.a.url", "characters", "https://HOST:PORT"},
           {at("redis", "http://a"), 3, "index.a.url", "none of redis://, rediss:// and unix://",
            "redis://HOST:PORT/DATABASE"},
           {at("redis", "rediss://a/b"), 3, "index.a.url", "a database", "redis://HOST:PORT/DATABASE"},
           {at("redis", "redis://a/b"), 3, "index.a.url", "a database", "redis://HOST:PORT/DATABASE"},
           {at("redis", "redis://a/0/1"), 3, "index.a.url", "a database", "redis://HOST:PORT/DATABASE"},
           {at("redis", "redis:///0"), 3, "index.a.url", "no host", "redis://HOST:PORT/DATABASE"},
           {at("redis", "unix://run/redis.sock"), 3, "index.a.url", "no socket", "unix:///PATH"},
           {at("redis", "unix:///run/"), 3, "index.a.url", "no socket", "unix:///PATH"},
           {at("redis", "unix:///r?timeout=1"), 3, "index.a.url", "an option", "unix:///PATH?db=DATABASE"},
           {at("redis", "unix:///r?db=65536"), 3, "index.a.url", "a database", "unix:///PATH?db=DATABASE"},
           {at("redis", "unix:///" + std::string(107, 'a')), 3, "index.a.url", "107 bytes", "symbolic link"},
           {at("redis", "redis://me:pw@a"), 3, "index.a.url", "a user or a password", "user and password_file"},
           {"[index.a]\nkind = \"redis\"\nurl = [\n \"redis://a\",\n \"redis://b:x\"]", 5, "index.a.url", "a port",
            "redis://HOST"},
       }) {
    SCOPED_TRACE(text);
    const auto mistake = mistake_in(text);
    EXPECT_EQ(mistake.line, line);
    EXPECT_EQ(mistake.key, key);
    EXPECT_THAT(mistake.problem, HasSubstr(problem));
    EXPECT_THAT(mistake.remedy, HasSubstr(remedy));
  }
}

TEST(ConfigIndex, NoMessageHoldsASecret) {
  for (const char* line :
       {"password = \"s3cret-canary\"", "password = s3cret-canary", "passwort = \"s3cret-canary\"",
        "url = \"https://me:s3cret-canary@a\"", "url = \"me:s3cret-canary@a\"", "url = \"https://me:s3cret-canary\"",
        "url = \"https:/me:s3cret/canary@a\"", "url = [\"https://me:s3cret-canary@a\", 1]",
        "url = \"redis://:s3cret-canary@a/0\"", "url = \"redis://a/s3cret-canary\"", "url = \"s3cret-canary\""}) {
    for (const char* kind : {"kind = \"opensearch\"", "kind = \"redis\"", "kind = 1", ""}) {
      const auto text = fmt::format("[index.a]\n{}\n{}", kind, line);
      try {
        parse_config(text, "a.toml");
        ADD_FAILURE() << "accepted: " << text;
      } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(), Not(HasSubstr("canary"))) << text;
      }
    }
  }
}

}  // namespace
}  // namespace anabranch
