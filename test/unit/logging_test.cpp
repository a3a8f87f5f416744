#include "sidecar/logging.hpp"

#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

using std::chrono::milliseconds;

const std::chrono::system_clock::time_point noon{milliseconds(1'769'860'800'123)};  // 2026-01-31 12:00:00.123 UTC

std::string text(std::string_view message, std::initializer_list<LogField> fields = {}) {
  return format_log_line(LogFormat::text, LogLevel::warning, noon, message, fields);
}
nlohmann::json json(std::string_view message, std::initializer_list<LogField> fields = {}) {
  return nlohmann::json::parse(format_log_line(LogFormat::json, LogLevel::warning, noon, message, fields));
}

TEST(Logging, WritesALineForPeople) {
  EXPECT_EQ(text("the server is gone"), "2026-01-31 12:00:00.123 UTC warning: the server is gone\n");
  EXPECT_EQ(text("the server is gone", {{"host", "db"}, {"wait_ms", milliseconds(50)}, {"lsn", Lsn(0x10000000A)}}),
            "2026-01-31 12:00:00.123 UTC warning: the server is gone (host=\"db\" wait_ms=50 lsn=\"1/A\")\n");
  EXPECT_EQ(text("column \"a\\b\""), "2026-01-31 12:00:00.123 UTC warning: column \"a\\b\"\n");
}

TEST(Logging, WritesAnObjectForMachines) {
  const auto line = json("it is \"so\"", {{"n", 5}, {"ok", true}, {"rate", 0.5}, {"nan", std::nan("")}, {"name", "x"}});
  EXPECT_EQ(line["time"], "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["message"], "it is \"so\"");
  EXPECT_EQ(line["n"], 5);
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["rate"], 0.5);
  EXPECT_EQ(line["nan"], "nan");
  EXPECT_EQ(line["name"], "x");
}

TEST(Logging, NoNameForgesALine) {
  const std::string hostile = "a\nERROR: b\r\t\x1b[31m\x7f\xc2\x9b\xff\xed\xa0\x80\xf0\x9f\x90\x98\"";
  const std::string line = text(hostile, {{"name", hostile}});
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  for (const char c : line) EXPECT_FALSE(static_cast<uint8_t>(c) < 0x20 && c != '\n');
  EXPECT_EQ(line.find("\xc2\x9b"), line.npos);
  EXPECT_NE(line.find("\xf0\x9f\x90\x98"), line.npos);
  const auto object = json(hostile, {{"name", hostile}});
  EXPECT_EQ(object["name"], object["message"]);
  EXPECT_NE(object["name"].get<std::string>().find("a\nERROR: b"), std::string::npos);
}

TEST(Logging, EveryByteMakesAValidLine) {
  for (int first = 0; first < 256; ++first)
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
      EXPECT_NO_THROW(json("x", {{"name", std::string_view(bytes, 2)}}));
    }
}

TEST(Logging, KnowsItsLevels) {
  EXPECT_EQ(parse_log_level("debug"), LogLevel::debug);
  EXPECT_EQ(parse_log_level("error"), LogLevel::error);
  EXPECT_EQ(parse_log_level("Error"), std::nullopt);
  EXPECT_EQ(parse_log_level(""), std::nullopt);
  EXPECT_TRUE(logs(LogLevel::info));
  EXPECT_FALSE(logs(LogLevel::debug));
}

}  // namespace
}  // namespace anabranch
