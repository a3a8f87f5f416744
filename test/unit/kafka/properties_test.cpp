#include "sidecar/kafka/properties.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace anabranch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class KafkaPropertiesFromFile : public ::testing::Test {
 protected:
  KafkaPropertiesFromFile() { std::filesystem::create_directories(directory_); }
  ~KafkaPropertiesFromFile() override { std::filesystem::remove_all(directory_); }

  std::string file(std::string_view text, mode_t mode = 0600) {
    const auto path = directory_ / "value";
    std::ofstream(path, std::ios::binary) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  static std::string refusal(const KafkaProperties& given) {
    try {
      with_files_read(given);
    } catch (const KafkaPropertyError& error) {
      EXPECT_FALSE(error.problem().empty());
      EXPECT_FALSE(error.remedy().empty());
      return error.what();
    }
    return "not refused";
  }

  std::filesystem::path directory_ =
      std::filesystem::path(::testing::TempDir()) / ("kafka-properties-" + std::to_string(getpid()));
};

TEST_F(KafkaPropertiesFromFile, StandForTheProperty) {
  EXPECT_THAT(with_files_read({{"sasl.password.file", file("hunter2\n")}, {"client.id", "a"}}),
              UnorderedElementsAre(Pair("sasl.password", "hunter2"), Pair("client.id", "a")));
}

TEST_F(KafkaPropertiesFromFile, LoseOneNewlineOnly) {
  EXPECT_EQ(with_files_read({{"sasl.password.file", file(" two \r\n")}}).at("sasl.password"), " two ");
  EXPECT_EQ(with_files_read({{"ssl.ca.pem.file", file("a\nb\n\n")}}).at("ssl.ca.pem"), "a\nb\n");
  EXPECT_EQ(with_files_read({{"sasl.password.file", file("")}}).at("sasl.password"), "");
}

TEST_F(KafkaPropertiesFromFile, AreRefusedWhereOthersReadASecret) {
  EXPECT_THAT(refusal({{"sasl.password.file", file("hunter2", 0644)}}),
              AllOf(HasSubstr("can be read by others"), HasSubstr("sasl.password.file"), Not(HasSubstr("hunter2"))));
  EXPECT_EQ(with_files_read({{"ssl.ca.pem.file", file("public", 0644)}}).at("ssl.ca.pem"), "public");
}

TEST_F(KafkaPropertiesFromFile, AreRefusedWhenTheyCannotBeRead) {
  EXPECT_THAT(refusal({{"sasl.password.file", directory_ / "none"}}), HasSubstr("No such file"));
  EXPECT_THAT(refusal({{"sasl.password.file", directory_}}), HasSubstr("no regular file"));
  EXPECT_THAT(refusal({{"sasl.password.file", ""}}), HasSubstr("No such file"));
  const auto fifo = directory_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(refusal({{"sasl.password.file", fifo}}), HasSubstr("no regular file"));
  EXPECT_THAT(refusal({{"ssl.ca.pem.file", file(std::string("a\0b", 3))}}), HasSubstr("NUL"));
  EXPECT_THAT(refusal({{"ssl.ca.pem.file", file(std::string(70'000, 'x'))}}), HasSubstr("64 KB"));
}

TEST_F(KafkaPropertiesFromFile, AreRefusedBesideTheValueItself) {
  EXPECT_THAT(refusal({{"sasl.password.file", file("a")}, {"sasl.password", "hunter2"}}),
              AllOf(HasSubstr("leave one"), Not(HasSubstr("hunter2"))));
}

TEST(KafkaProperties, SecretsAreKnown) {
  EXPECT_TRUE(is_secret_property("sasl.password"));
  EXPECT_TRUE(is_secret_property("ssl.key.pem"));
  EXPECT_FALSE(is_secret_property("ssl.ca.location"));
  EXPECT_FALSE(is_secret_property("sasl.password.file"));
}

TEST(KafkaProperties, OursAreAdded) {
  EXPECT_THAT(merged({{"client.id", "a"}}, {{"acks", "all"}}),
              UnorderedElementsAre(Pair("client.id", "a"), Pair("acks", "all")));
  EXPECT_THAT(merged({{"acks", "all"}}, {{"acks", "all"}}), UnorderedElementsAre(Pair("acks", "all")));
}

TEST(KafkaProperties, OursAreNotOverruledByAnyName) {
  EXPECT_THROW(merged({{"acks", "1"}}, {{"acks", "all"}}), KafkaPropertyError);
  EXPECT_THROW(merged({{"request.required.acks", "1"}}, {{"acks", "all"}}), KafkaPropertyError);
  EXPECT_THROW(merged({{"acks", "1"}}, {{"request.required.acks", "all"}}), KafkaPropertyError);
  EXPECT_THROW(merged({{"metadata.broker.list", "elsewhere"}}, {{"bootstrap.servers", "here"}}), KafkaPropertyError);
}

TEST(KafkaProperties, MakesRoomForTheLargestRecord) {
  EXPECT_EQ(queue_kbytes_for({}), "32768");
  EXPECT_EQ(queue_kbytes_for({{"message.max.bytes", "104857600"}}), "204800");
  EXPECT_EQ(queue_kbytes_for({{"message.max.bytes", "2000000"}, {"queue.buffering.max.kbytes", "4096"}}), "4096");
  EXPECT_THROW(queue_kbytes_for({{"message.max.bytes", "2000000"}, {"queue.buffering.max.kbytes", "1024"}}),
               KafkaPropertyError);
  EXPECT_THROW(queue_kbytes_for({{"queue.buffering.max.kbytes", "512"}}), KafkaPropertyError);
}

}  // namespace
}  // namespace anabranch
