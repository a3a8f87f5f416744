// The settings file: what it says is meant, and everything else is refused with its place and a remedy.
#include "sidecar/cli/config.hpp"
#include "test/unit/cli/one_mistake.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

namespace anabranch {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view whole_file = R"(
batch_interval_max = "250 ms"
fill_workers_max = 4

[source.home]
host = "/run/pg"
port = 5433
user = "anabranch"
database = "shop"
password = "s3cret-canary"
passfile = "/etc/anabranch/pgpass"
sslmode = "verify-full"
sslrootcert = "/etc/root.crt"
sslcert = "/etc/client.crt"
sslkey = "/etc/client.key"
connect_timeout = "10 s"
slot = "my_slot"
publication = "My Publication"
wal_keep_limit = "5 GB"

[verify]
snapshot_max = "2 s"
pause_when = "SELECT false"

[index.search]
kind = "opensearch"
url = ["https://search1:9200", "https://search2:9200"]
bulk_bytes_max = "1 MB"

[logging]
format = "json"
level = "debug"
)";

TEST(Config, FormatsAreChosen) {
  const auto settings = parse_config(R"([kafka]
format = "avro"
times = "adaptive"
schema_registry = "https://registry"
schema_registry_user = "me"
schema_registry_password_file = "/p"
schema_registry_token_file = "/t"
schema_registry_ca_file = "/ca"
schema_registry_certificate_file = "/c"
schema_registry_key_file = "/k"
[kafka.table."public.orders"]
latest = true
[kafka.table."public.lines"]
latest = false
topic = "lines_2"
)",
                                     "f");
  EXPECT_TRUE(settings.kafka.times_adaptive);
  EXPECT_EQ(settings.kafka.schema_registry_user, "me");
  EXPECT_EQ(settings.kafka.schema_registry_password_file, "/p");
  EXPECT_EQ(settings.kafka.schema_registry_token_file, "/t");
  EXPECT_EQ(settings.kafka.schema_registry_ca_file, "/ca");
  EXPECT_EQ(settings.kafka.schema_registry_certificate_file, "/c");
  EXPECT_EQ(settings.kafka.schema_registry_key_file, "/k");
  EXPECT_EQ(settings.kafka.latest_tables, std::set<std::string>{"public.orders"});
  EXPECT_EQ(settings.kafka.table_topics, (ChosenTopics{{"public.lines", "lines_2"}}));
}

TEST(Config, EveryKeyIsRead) {
  const auto settings = parse_config(whole_file, "a.toml");
  const ConnectionParameters home{{"host", "/run/pg"},
                                  {"port", "5433"},
                                  {"user", "anabranch"},
                                  {"dbname", "shop"},
                                  {"password", "s3cret-canary"},
                                  {"passfile", "/etc/anabranch/pgpass"},
                                  {"sslmode", "verify-full"},
                                  {"sslrootcert", "/etc/root.crt"},
                                  {"sslcert", "/etc/client.crt"},
                                  {"sslkey", "/etc/client.key"},
                                  {"connect_timeout", "10"}};
  EXPECT_EQ(settings.home, home);
  EXPECT_EQ(settings.slot, "my_slot");
  EXPECT_EQ(settings.publication, "My Publication");
  EXPECT_EQ(settings.wal_keep_limit_bytes, int64_t{5} << 30);
  EXPECT_EQ(settings.batch_interval_max, std::chrono::milliseconds(250));
  EXPECT_EQ(settings.fill_workers_max, 4);
  EXPECT_EQ(settings.verify_snapshot_max, std::chrono::milliseconds(2'000));
  EXPECT_EQ(settings.verify_pause_when, "SELECT false");
  ASSERT_TRUE(settings.indexes.contains("search"));
  EXPECT_EQ(settings.indexes.at("search").bulk_bytes_max, 1u << 20);
  EXPECT_EQ(settings.log_format, LogFormat::json);
  EXPECT_EQ(settings.log_level, LogLevel::debug);
}

TEST(Config, AnEmptyFileMeansTheDefaults) {
  const auto settings = parse_config("", "a.toml");
  EXPECT_TRUE(settings.home.empty());
  EXPECT_EQ(settings.publication, "anabranch");
  EXPECT_EQ(settings.wal_keep_limit_bytes, int64_t{20} << 30);
}

TEST(Config, ReadsKafka) {
  const auto settings = parse_config(R"(log = "kafka"
[kafka]
brokers = "a:1,b:2"
prefix = "shop.eu"
partitions = 12
retention = "2 d"
create_topics = false
keyless_tables = "full_row"
oversize = "fragment"
messages = ["outbox", "audit"]
instance = "blue"
[kafka.properties]
linger.ms = 5
"sasl.username" = "me"
enable.ssl.certificate.verification = true
)",
                                     "f");
  EXPECT_TRUE(settings.log_is_kafka);
  EXPECT_EQ(settings.kafka.prefix, "shop.eu");
  EXPECT_EQ(settings.kafka.topics.partitions, 12);
  EXPECT_EQ(settings.kafka.topics.replication_factor, -1);
  EXPECT_EQ(settings.kafka.topics.retention, std::chrono::hours(48));
  EXPECT_FALSE(settings.kafka.topics.create);
  EXPECT_TRUE(settings.kafka.keyless_full_row);
  EXPECT_TRUE(settings.kafka.oversize_fragment);
  EXPECT_EQ(settings.kafka.messages, (std::vector<std::string>{"outbox", "audit"}));
  EXPECT_EQ(settings.kafka.instance, "blue");
  EXPECT_EQ(settings.kafka.properties, (KafkaProperties{{"bootstrap.servers", "a:1,b:2"},
                                                        {"linger.ms", "5"},
                                                        {"sasl.username", "me"},
                                                        {"enable.ssl.certificate.verification", "true"}}));
  EXPECT_FALSE(parse_config("log = \"slot\"", "f").log_is_kafka);
}

TEST(Config, MistakesAreNamedWithPlaceAndRemedy) {
  struct Case {
    const char* text;
    size_t line;
    const char* key;
    const char* problem;
    const char* remedy;
  };
  for (const auto& [text, line, key, problem, remedy] : std::initializer_list<Case>{
           {"batch_intervall_max = \"1 s\"", 1, "batch_intervall_max", "no key", "did you mean batch_interval_max?"},
           {"\n[source.home]\nwal_keep_limits = \"1 GB\"", 3, "source.home.wal_keep_limits", "no key",
            "did you mean wal_keep_limit?"},
           {"slot = \"x\"", 1, "slot", "no key", "did you mean slot in [source.home]?"},
           {"[source.home]\nlevel = \"info\"", 2, "source.home.level", "no key", "level in [logging]"},
           {"[logging]\ncolour = true", 2, "logging.colour", "no key", "keys here are format, level"},
           {"[logs]\nlevel = \"info\"", 1, "logs", "no section", "[source.home], [verify], [kafka]"},
           {"[source.shard1]\nhost = \"x\"", 1, "source.shard1", "does not know", "[source.home]"},
           {"source = 1", 1, "source", "not a section", "[source.home]"},
           {"log = \"json\"", 1, "log", "\"json\", which is unknown", "\"slot\", \"kafka\""},
           {"logging = \"json\"", 1, "logging", "not a section", "[logging]"},
           {"[[logging]]\nlevel = \"info\"", 1, "logging", "not a section", "[logging]"},
           {"log = \"kafka\"", 1, "kafka.brokers", "missing", "brokers ="},
           {"kafka = 1", 1, "kafka", "not a section", "[kafka]"},
           {"[kafka]\nprefix = \"a b\"", 2, "kafka.prefix", "\"a b\"", "a-z, A-Z, 0-9"},
           {"[kafka]\npartitions = 0", 2, "kafka.partitions", "outside 1 to 10000", "1 to 10000"},
           {"[kafka]\ncreate_topics = 1", 2, "kafka.create_topics", "neither true nor false", "without quotes"},
           {"[kafka]\nmessages = \"outbox\"", 2, "kafka.messages", "not a list", "[\"outbox\"]"},
           {"[kafka]\nbroker = \"x\"", 2, "kafka.broker", "no key", "did you mean brokers?"},
           {"[kafka.properties]\nbootstrap.servers = \"x\"", 2, "kafka.properties.bootstrap.servers", "set elsewhere",
            "brokers in [kafka]"},
           {"[kafka]\ntimes = \"epoch\"", 2, "kafka.times", "which is unknown", "\"iso\", \"adaptive\""},
           {"[kafka]\ntable = 1", 2, "kafka.table", "not a section", "latest = true"},
           {"[kafka.table.orders]\nlatest = true", 1, "kafka.table.\"orders\"", "no section of a table",
            "public.orders"},
           {"[kafka.table.\"public.orders\"]\nlast = true", 2, "kafka.table.\"public.orders\".last",
            "no setting of a table", "latest = true"},
           {"[kafka.table.\"public.orders\"]\nlatest = 1", 2, "kafka.table.\"public.orders\".latest",
            "neither true nor false", "true or false"},
           {"[kafka.table.\"public.orders\"]\ntopic = \"a b\"", 2, "kafka.table.\"public.orders\".topic",
            "no topic's name", "follow the prefix"},
           {"[kafka.properties]\nlinger.ms = [5]", 2, "kafka.properties.linger.ms", "a list", "a number"},
           {"[source.home]\nport = \"5432\"", 2, "source.home.port", "a string, not a whole number", "without quotes"},
           {"[source.home]\nport = -1", 2, "source.home.port", "-1, outside 1 to 65535", "1 to 65535"},
           {"[source.home]\nport = 65536", 2, "source.home.port", "65536, outside", "1 to 65535"},
           {"[source.home]\nport = 5432.0", 2, "source.home.port", "a fraction", "number"},
           {"[source.home]\nport = 99999999999999999999", 2, "port", "not TOML", "KEY ="},
           {"[source.home]\nhost = 5", 2, "source.home.host", "a number, not a string", "write it as"},
           {"[source.home]\nhost = [\"a\"]", 2, "source.home.host", "a list", "write it as"},
           {"[source.home]\nhost = 2026-01-01", 2, "source.home.host", "a date or time", "write it as"},
           {"[source.home]\nhost = \"\"", 2, "source.home.host", "empty", "leave the line out"},
           {"[source.home]\nhost = \"a\\u0000b\"", 2, "source.home.host", "NUL", "take it out"},
           {"[source.home]\nsslmode = \"verify\"", 2, "source.home.sslmode", "unknown", "\"verify-full\""},
           {"[source.home]\nslot = \"My-Slot\"", 2, "source.home.slot", "cannot name a slot", "a-z, 0-9 and _"},
           {"[source.home]\nwal_keep_limit = 20", 2, "source.home.wal_keep_limit", "with a unit", "as in"},
           {"[source.home]\nwal_keep_limit = \"20\"", 2, "source.home.wal_keep_limit", "no unit", "\"20 GB\""},
           {"[source.home]\nwal_keep_limit = \"-1 GB\"", 2, "source.home.wal_keep_limit", "negative", "\"20 GB\""},
           {"[source.home]\nwal_keep_limit = \"1 MB\"", 2, "source.home.wal_keep_limit", "outside 64 MB", "between"},
           {"batch_interval_max = \"0 ms\"", 1, "batch_interval_max", "outside 1 ms", "between"},
           {"batch_interval_max = \"1 week\"", 1, "batch_interval_max", "no unit", "\"1 s\""},
           {"fill_workers_max = 0", 1, "fill_workers_max", "outside 1 to 16", "1 to 16"},
           {"fill_workers_max = true", 1, "fill_workers_max", "true or false", "without quotes"},
           {"fill_workers_max = 1\nfill_workers_max = 2", 2, "fill_workers_max", "twice", "keep one"},
           {"[logging]\nlevel = \"info\"\n[logging]\nformat = \"json\"", 3, "", "twice", "keep one"},
           {"[logging]\nlevel = 'loud'", 2, "logging.level", "\"loud\", which is unknown", "\"debug\", \"info\""},
           {"[source.home]\npassword = hunter2", 2, "password", "not TOML", "KEY = \"text\""},
           {"this is no toml", 1, "", "not TOML", "KEY = \"text\""},
           {"[source.home\nport = 1", 1, "", "not TOML", "KEY"},
           {"\xff\xfe\xfd", 1, "", "not TOML", "KEY"},
       }) {
    SCOPED_TRACE(text);
    const auto mistake = mistake_in(text);
    EXPECT_EQ(mistake.line, line);
    EXPECT_EQ(mistake.key, key);
    EXPECT_THAT(mistake.problem, HasSubstr(problem));
    EXPECT_THAT(mistake.remedy, HasSubstr(remedy));
  }
}

TEST(Config, AllMistakesAreReportedAtOnce) {
  try {
    parse_config("colour = 1\n[source.home]\nport = 0\nhost = 1\n", "dir/a.toml");
    FAIL();
  } catch (const ConfigError& error) {
    ASSERT_EQ(error.mistakes().size(), 3u);
    EXPECT_EQ(error.mistakes()[0].line, 1u);
    EXPECT_EQ(error.mistakes()[2].line, 4u);
    EXPECT_THAT(error.what(), HasSubstr("dir/a.toml:3:8: source.home.port: is 0, outside 1 to 65535; write"));
  }
}

TEST(Config, NoMessageHoldsASecret) {
  for (const char* text :
       {"[source.home]\npassword = s3cret-canary", "[source.home]\npassword = \"s3cret-canary",
        "[source.home]\npassword = 's3cret-canary\nport = 1", "[source.home]\npassword = [\"s3cret-canary\"]",
        "[source.home]\npassword = \"s3cret-canary\"\npassword = \"s3cret-canary\"",
        "[source.home]\npassword = \"s3cret-canary\" \"x\"", "[source.home]\npasswort = \"s3cret-canary\"",
        "password = \"s3cret-canary\"", "[source.home]\npassword : \"s3cret-canary\""}) {
    try {
      parse_config(text, "a.toml");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), Not(HasSubstr("canary"))) << text;
    }
  }
}

// Whatever is done to a good file, the answer is settings or a ConfigError with a place and a remedy.
TEST(Config, MutatedFilesAreUnderstoodOrRefused) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto below = [&](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random); };
  for (int round = 0; round < 2000; ++round) {
    std::string text(whole_file);
    for (size_t changes = 1 + below(4); changes > 0; --changes) {
      const auto at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(8));
          break;
        case 2:
          text.insert(at, text.substr(below(text.size()), 1 + below(20)));
          break;
        default:
          text.insert(at, 1, "[]=\"'\n.#-{},\\\0"[below(15)]);
      }
    }
    try {
      parse_config(text, "a.toml");
    } catch (const ConfigError& error) {
      ASSERT_FALSE(error.mistakes().empty());
      for (const auto& mistake : error.mistakes()) {
        EXPECT_GT(mistake.line, 0u) << text;
        EXPECT_FALSE(mistake.problem.empty()) << text;
        EXPECT_FALSE(mistake.remedy.empty()) << text;
      }
    }
  }
}

class ConfigFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/anabranch_config_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, std::string_view text, mode_t mode = 0600) const {
    std::ofstream(path(name), std::ios::binary) << text;
    chmod(path(name).c_str(), mode);
    return path(name);
  }
  static std::string refusal(const std::string& file) {
    try {
      read_config(file);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  }

 private:
  std::filesystem::path directory_;
};

TEST_F(ConfigFileTest, PasswordsStayPrivate) {
  EXPECT_EQ(refusal(write("private", whole_file, 0600)), "accepted");
  const auto refused = refusal(write("shared", whole_file, 0604));
  EXPECT_THAT(refused, HasSubstr(":10:12: source.home.password: is a password in a file that others can read"));
  EXPECT_THAT(refused, HasSubstr("chmod 600"));
  EXPECT_THAT(refused, Not(HasSubstr("canary")));
  EXPECT_EQ(refusal(write("no_secret", "fill_workers_max = 1\n", 0644)), "accepted");
  EXPECT_THAT(refusal(write("writable", "fill_workers_max = 1\n", 0646)), HasSubstr("chmod o-w"));
}

TEST_F(ConfigFileTest, OnlyFilesOfTextAreRead) {
  EXPECT_THAT(refusal(path("missing")), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(""), HasSubstr("no file name"));
  EXPECT_THAT(refusal(path("")), HasSubstr("is a directory"));
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("no regular file"));
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(refusal(path("fifo")), HasSubstr("no regular file"));
  ASSERT_EQ(symlink(path("loop").c_str(), path("loop").c_str()), 0);
  EXPECT_THAT(refusal(path("loop")), HasSubstr("circle"));
  EXPECT_THAT(refusal(write("bom",
                            "\xef\xbb\xbf"
                            "fill_workers_max = 1\n")),
              HasSubstr("bom:1:1: begins with a byte order mark"));
  EXPECT_THAT(refusal(write("nul", std::string_view("fill_workers_max = 1\n\0", 22))),
              HasSubstr("nul:2:1: holds a NUL byte"));
  EXPECT_THAT(refusal(write("large", std::string(2 << 20, '#'))), HasSubstr("larger than 1 MB"));
  write("target", "fill_workers_max = 1\n");
  ASSERT_EQ(symlink(path("target").c_str(), path("link").c_str()), 0);
  EXPECT_EQ(refusal(path("link")), "accepted");
}

}  // namespace
}  // namespace anabranch
