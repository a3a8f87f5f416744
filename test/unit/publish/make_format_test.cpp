#include "sidecar/publish/make_format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace anabranch {
namespace {

using testing::HasSubstr;

std::string made(const std::string& format, const std::string& registry = "") {
  FormatSettings settings;
  settings.format = format;
  settings.registry.url = registry;
  try {
    return std::string(make_format(settings)->name());
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(MakeFormat, MakesWhatIsAskedFor) {
  EXPECT_EQ(made("protobuf"), "protobuf");
  EXPECT_EQ(made("protobuf", "http://registry:8081"), "protobuf");
  EXPECT_EQ(made("debezium-json"), "debezium-json");
  EXPECT_EQ(made("avro", "https://registry"), "avro");
  EXPECT_TRUE(feeds_copies("protobuf"));
  EXPECT_FALSE(feeds_copies("avro"));
}

TEST(MakeFormat, SaysWhichSettingIsWrong) {
  EXPECT_THAT(made("avro"), HasSubstr("kafka.schema_registry"));
  EXPECT_THAT(made("json"), HasSubstr("none of \"protobuf\""));
  EXPECT_THAT(made("protobuf", "registry:8081"), HasSubstr("kafka.schema_registry is no address"));
}

}  // namespace
}  // namespace anabranch
