#include "sidecar/cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using testing::HasSubstr;
using testing::Not;

CommandLine parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "anabranch");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data()).value();
}

UsageError refusal(std::vector<const char*> arguments) {
  try {
    parse(std::move(arguments));
  } catch (const UsageError& error) {
    return error;
  }
  ADD_FAILURE() << "accepted";
  return {"", std::nullopt};
}

TEST(CommandLine, ConnectionOptionsStandOnEitherSideOfTheCommand) {
  const ConnectionParameters expected{{"host", "db1"}, {"port", "5433"}, {"user", "me"}, {"dbname", "shop"}};
  EXPECT_EQ(parse({"-h", "db1", "-p", "5433", "-U", "me", "-d", "shop", "run"}).connection, expected);
  EXPECT_EQ(parse({"run", "-hdb1", "-p5433", "-Ume", "-dshop"}).connection, expected);
  EXPECT_EQ(parse({"--host=db1", "run", "--port=5433", "--username=me", "--dbname=shop"}).connection, expected);
  EXPECT_EQ(parse({"run"}).connection, ConnectionParameters{});
}

TEST(CommandLine, TheDatabaseMayBeAConnectionString) {
  const ConnectionParameters expected{{"host", "db1"}, {"user", "me"}, {"dbname", "a=b"}};
  EXPECT_EQ(parse({"check", "-d", "host=db1 user=me dbname='a=b'"}).connection, expected);
  EXPECT_EQ(parse({"check", "-d", "postgresql://me@db1/a%3Db"}).connection, expected);
  EXPECT_EQ(parse({"check", "-d", "host=db1 user=me dbname=x", "-h", "db2"}).connection.at("host"), "db2");
}

TEST(CommandLine, PasswordsAreNotTakenNorRepeated) {
  for (const auto& arguments : std::vector<std::vector<const char*>>{{"run", "-d", "postgresql://me:canary@db1/x"},
                                                                     {"run", "-d", "password=canary"},
                                                                     {"run", "-d", "password='canary"},
                                                                     {"run", "-d", "postgresql://me:canary@[db1/x"},
                                                                     {"run", "canary"},
                                                                     {"run", "--password=canary"},
                                                                     {"canary"}}) {
    EXPECT_THAT(refusal(arguments).what(), Not(HasSubstr("canary")));
  }
  EXPECT_THAT(refusal({"run", "-d", "password=canary"}).what(), HasSubstr("PGPASSWORD"));
  EXPECT_THAT(refusal({"run", "-W"}).what(), HasSubstr("PGPASSWORD"));
}

TEST(CommandLine, ARunMayBeHalfOfItsWork) {
  EXPECT_EQ(parse({"run"}).run.part, RunSettings::Part::both);
  EXPECT_EQ(parse({"run", "--only", "publish"}).run.part, RunSettings::Part::publish);
  EXPECT_EQ(parse({"run", "--only=apply"}).run.part, RunSettings::Part::apply);
  EXPECT_THAT(refusal({"run", "--only", "dance"}).what(), HasSubstr("dance"));
  EXPECT_EQ(parse({"adopt"}).command, Command::adopt);
}

TEST(CommandLine, CommandsHaveTheirOptions) {
  const auto init = parse({"init", "--apply", "--role", "ana"});
  EXPECT_EQ(init.command, Command::init);
  EXPECT_TRUE(init.init.apply);
  EXPECT_FALSE(init.init.sql);
  EXPECT_EQ(init.init.role, "ana");
  EXPECT_TRUE(parse({"init", "--sql"}).init.sql);
  const auto drop = parse({"drop", "--yes", "--extension"});
  EXPECT_TRUE(drop.drop.yes);
  EXPECT_TRUE(drop.drop.extension);
  EXPECT_FALSE(parse({"drop"}).drop.yes);
  EXPECT_EQ(parse({"run", "-c", "a.toml"}).config, "a.toml");
  EXPECT_EQ(parse({"check"}).command, Command::check);
}

TEST(CommandLine, WatchTakesSeconds) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse({"status"}).status.watch, std::nullopt);
  EXPECT_EQ(parse({"status", "--watch"}).status.watch, 2000ms);
  EXPECT_EQ(parse({"status", "--watch", "5", "--json"}).status.watch, 5000ms);
  EXPECT_EQ(parse({"status", "--watch=0.5"}).status.watch, 500ms);
  EXPECT_EQ(parse({"status", "--watch=1 min"}).status.watch, 60'000ms);
  for (const char* bad : {"--watch=0", "--watch=-1", "--watch=x", "--watch=99999999999"})
    EXPECT_THAT(refusal({"status", bad}).what(), HasSubstr("--watch"));
}

TEST(CommandLine, VerifyTakesCopiesAndHow) {
  const auto plain = parse({"verify"});
  EXPECT_EQ(plain.command, Command::verify);
  EXPECT_TRUE(plain.verify.copies.empty());
  EXPECT_EQ(plain.verify.mode, "full");
  EXPECT_EQ(plain.verify.duty, 0.1);
  EXPECT_FALSE(plain.verify.wait || plain.verify.repair || plain.verify.json);
  const auto full =
      parse({"verify", "public.a", "s.\"B\"", "--wait", "--repair", "--json", "--mode=sketch", "--duty", "0.5"}).verify;
  EXPECT_EQ(full.copies, (std::vector<std::string>{"public.a", "s.\"B\""}));
  EXPECT_TRUE(full.wait && full.repair && full.json);
  EXPECT_EQ(full.mode, "sketch");
  EXPECT_EQ(full.duty, 0.5);
  EXPECT_TRUE(parse({"verify", "--all"}).verify.copies.empty());
}

TEST(CommandLine, KeysAreOfOneCopy) {
  const auto keys = parse({"verify", "a.b", "--keys", "[7, {\"x\": \"y\"}]"}).verify;
  EXPECT_EQ(keys.keys, "[7, {\"x\": \"y\"}]");
  EXPECT_EQ(keys.mode, "keys");
  EXPECT_EQ(parse({"verify", "--mode", "keys", "--keys", "[7]", "a.b"}).verify.keys, "[7]");
  EXPECT_THAT(refusal({"verify", "--keys", "[7]"}).what(), HasSubstr("name it"));
  EXPECT_THAT(refusal({"verify", "a.b", "a.c", "--keys", "[7]"}).what(), HasSubstr("of one copy"));
  EXPECT_THAT(refusal({"verify", "a.b", "--mode", "full", "--keys", "[7]"}).what(), HasSubstr("leave the mode out"));
  EXPECT_THAT(refusal({"verify", "a.b", "--mode", "keys"}).what(), HasSubstr("needs the keys"));
  EXPECT_THAT(refusal({"verify", "a.b", "--all"}).what(), HasSubstr("--all"));
  for (const char* bad : {"--duty=0", "--duty=1.1", "--duty=x", "--mode=quick"})
    EXPECT_EQ(refusal({"verify", bad}).command, Command::verify) << bad;
}

TEST(CommandLine, MistakesSayWhatIsMeant) {
  EXPECT_THAT(refusal({}).what(), HasSubstr("a command is missing"));
  EXPECT_THAT(refusal({"statsu"}).what(),
              HasSubstr("commands are init, run, status, verify, check, drop, schema, adopt, audit and tail"));
  EXPECT_THAT(refusal({"run", "--bogus"}).what(), HasSubstr("--bogus"));
  EXPECT_THAT(refusal({"run", "-p", "0"}).what(), HasSubstr("65535"));
  EXPECT_THAT(refusal({"run", "-p", "x"}).what(), HasSubstr("--port"));
  EXPECT_THAT(refusal({"run", "-h"}).what(), HasSubstr("--host"));
  EXPECT_EQ(refusal({"status", "--bogus"}).command, Command::status);
  EXPECT_EQ(refusal({"statsu"}).command, std::nullopt);
}

}  // namespace
}  // namespace anabranch
