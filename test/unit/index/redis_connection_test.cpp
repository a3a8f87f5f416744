#include "sidecar/index/redis_connection.hpp"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sidecar/index/index.hpp"
#include "test/unit/index/redis_server.hpp"
#include "test/unit/peer.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::Peer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RedisSessionOptions options_for(const Peer& peer) {
  RedisSessionOptions options;
  options.address = {.host = "127.0.0.1", .port = peer.port(), .path = {}, .database = 0};
  options.request_timeout = milliseconds(30'000);
  return options;
}

constexpr const char* hello =
    "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.2.99\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:3\r\n"
    "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica\r\n$7\r\nmodules\r\n*0\r\n";

// "KIND: what; remedy", or that nothing was thrown.
template <typename Work>
std::string failure(const Work& work) {
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

std::string failure_to_connect(const RedisSessionOptions& options) {
  const Stop stop;
  return failure([&] { RedisConnection(options, stop); });
}

TEST(RedisArguments, AreWrittenAsRedisReadsThem) {
  RedisArguments arguments{"SET", std::string_view("a\0\r\n", 4)};
  arguments.add(RedisArguments{"", "EX"});
  EXPECT_EQ(arguments.count(), 4U);
  EXPECT_EQ(arguments.bytes(), std::string("$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n$2\r\nEX\r\n", 33));
}

TEST(RedisConnection, LearnsWhomItSpeaksTo) {
  const Peer peer(hello);
  const Stop stop;
  const RedisConnection connection(options_for(peer), stop);
  EXPECT_EQ(connection.version_major(), 7);
  EXPECT_TRUE(connection.is_replica());
}

TEST(RedisConnection, AServerThatIsNotThereIsUnreachable) {
  RedisSessionOptions options;
  options.address = {.host = "127.0.0.1", .port = 1, .path = {}, .database = 0};
  EXPECT_THAT(failure_to_connect(options),
              AllOf(HasSubstr("unreachable: "), HasSubstr("127.0.0.1:1"), HasSubstr("refused")));
  options.address = {.host = {}, .port = 0, .path = "/nowhere/redis.sock", .database = 0};
  EXPECT_THAT(failure_to_connect(options), AllOf(HasSubstr("unreachable: "), HasSubstr("/nowhere/redis.sock")));
}

TEST(RedisConnection, AServerThatIsSilentIsUnreachable) {
  const Peer peer;
  auto options = options_for(peer);
  options.request_timeout = milliseconds(50);
  EXPECT_THAT(failure_to_connect(options), AllOf(HasSubstr("unreachable: "), HasSubstr("does not answer in time")));
}

TEST(RedisConnection, AServerThatClosesIsUnreachable) {
  auto peer = std::make_unique<Peer>(hello);
  const Stop stop;
  RedisConnection connection(options_for(*peer), stop);
  peer.reset();
  EXPECT_THAT(failure([&] { connection.ask({"PING"}); }), HasSubstr("unreachable: "));
}

TEST(RedisConnection, SomethingElseIsRefused) {
  EXPECT_THAT(failure_to_connect(options_for(Peer("HTTP/1.1 400 Bad Request\r\n\r\n"))),
              AllOf(HasSubstr("refused: "), HasSubstr("no Redis server")));
}

TEST(RedisConnection, AnOlderServerIsRefusedAndKeepsThePasswordToItself) {
  EXPECT_THAT(failure_to_connect(options_for(
                  Peer("-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `a`, `hunter2`\r\n"))),
              AllOf(HasSubstr("refused: "), HasSubstr("Redis 7"), Not(HasSubstr("hunter2"))));
}

TEST(RedisConnection, AStopEndsAWait) {
  const Peer peer(hello);
  Stop stop;
  RedisConnection connection(options_for(peer), stop);
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop.request();
  });
  const auto began = steady_clock::now();
  EXPECT_THROW(connection.ask({"PING"}), Interrupted);
  EXPECT_LT(steady_clock::now() - began, milliseconds(10'000));
  stopper.join();
  EXPECT_THROW(RedisConnection(options_for(peer), stop), Interrupted);
}

TEST(RedisConnection, AStopEndsSendingWhatNobodyReads) {
  const Peer peer(hello);
  Stop stop;
  RedisConnection connection(options_for(peer), stop);
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(50));
    stop.request();
  });
  EXPECT_THROW(connection.ask({"SET", "a", std::string(32 << 20, 'x')}), Interrupted);
  stopper.join();
}

class DatabaseRedisConnection : public test::RedisTest {};

TEST_F(DatabaseRedisConnection, AnswersInOrder) {
  const auto connection = connect();
  for (int i = 0; i < 10'000; ++i) connection->put({"ECHO", std::to_string(i)});
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(text_of(*connection->receive_checked()), std::to_string(i));
  EXPECT_EQ(connection->version_major(), 7);
  EXPECT_FALSE(connection->is_replica());
}

TEST_F(DatabaseRedisConnection, CarriesAnyBytesOfAnySize) {
  const auto connection = connect();
  std::string value(20 << 20, '\0');
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 7);
  connection->ask({"SET", std::string_view("\0\r\n\xff", 4), value});
  EXPECT_TRUE(text_of(*connection->ask({"GET", std::string_view("\0\r\n\xff", 4)})) == value);
}

TEST_F(DatabaseRedisConnection, TellsWhatIsRefusedAndGoesOn) {
  const auto connection = connect();
  EXPECT_THAT(failure([&] { connection->ask({"NONSENSE"}); }), HasSubstr("refused: "));
  EXPECT_EQ(text_of(*connection->ask({"PING"})), "PONG");
}

TEST_F(DatabaseRedisConnection, SelectsItsDatabase) {
  url_ += "/9";
  connect()->ask({"SET", "a", "1"});
  EXPECT_EQ(number({"EXISTS", "a"}), 0);
  url_ += "99";
  EXPECT_THAT(failure([&] { connect(); }), AllOf(HasSubstr("refused: "), HasSubstr("databases")));
}

TEST_F(DatabaseRedisConnection, AuthenticatesWithTheFileOfTheMoment) {
  const auto file = std::filesystem::path(::testing::TempDir()) / ("redis-password-" + std::to_string(getpid()));
  const auto write = [&](std::string_view password) {
    std::ofstream(file) << password << '\n';
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  };
  RedisSessionOptions options;
  options.address = parse_redis_url(url_);
  options.user = "app";
  options.password_file = file;
  ask({"ACL", "SETUSER", "app", "on", ">one two", "+ping", "-hello"});

  EXPECT_THAT(failure_to_connect(options), AllOf(HasSubstr("refused: password_file: "), HasSubstr(file.string())));
  write("three");
  EXPECT_THAT(failure_to_connect(options),
              AllOf(HasSubstr("refused: "), HasSubstr("WRONGPASS"), Not(HasSubstr("three"))));
  write("one two");
  RedisConnection connection(options, stop_);
  EXPECT_EQ(text_of(*connection.ask({"PING"})), "PONG");
  EXPECT_THAT(failure([&] { connection.ask({"GET", "a"}); }), AllOf(HasSubstr("NOPERM"), HasSubstr("ACL SETUSER")));

  ask({"ACL", "DELUSER", "app"});
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace anabranch
