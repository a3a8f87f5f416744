// One session with a Redis server: a Stream, and hiredis to read what it answers.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <hiredis/hiredis.h>

#include "sidecar/net/stream.hpp"
#include "sidecar/net/tls_files.hpp"
#include "sidecar/index/redis_address.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// A command, or a part of one: arguments of any bytes, already as they go over the wire.
class RedisArguments {
 public:
  RedisArguments() = default;
  RedisArguments(std::initializer_list<std::string_view> arguments) {
    for (const auto argument : arguments) add(argument);
  }
  void add(std::string_view argument);
  void add(const RedisArguments& part);
  void clear();
  std::size_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::size_t count_ = 0;
  std::string bytes_;
};

// Any number of commands, already as they go over the wire.
class RedisCommands {
 public:
  void add(const RedisArguments& command);
  std::size_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::size_t count_ = 0;
  std::string bytes_;
};

// An answer; hiredis's accessors are its members.
struct FreeRedisReply {
  void operator()(redisReply* reply) const noexcept { freeReplyObject(reply); }
};
using RedisReply = std::unique_ptr<redisReply, FreeRedisReply>;

// Of a string, a status or an error; empty for anything else.
std::string_view text_of(const redisReply& reply);

struct RedisSessionOptions {
  RedisAddress address;
  std::string user;           // empty: the default user
  std::string password_file;  // read at each connection; empty: none
  TlsFiles tls;
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{60'000};  // without any progress, of an answer that is waited for
};

// Commands are sent in the order in which they were put, and answered in that order; any number may be under way. Not
// for two threads. Every failure is an IndexError. After one of receive(), and after Interrupted, which of the commands
// under way were carried out is unknown and the session is of no use any more.
class RedisConnection {
 public:
  // Connects, authenticates and selects the database. `stop` must outlive the object: once it is requested every wait
  // throws Interrupted.
  RedisConnection(RedisSessionOptions options, const Stop& stop);
  // A further session, made as this one was.
  std::unique_ptr<RedisConnection> another() const { return std::make_unique<RedisConnection>(options_, stop_); }

  // Of the server's version: 7 of "7.0.15".
  int version_major() const { return version_major_; }
  bool is_replica() const { return is_replica_; }
  // The server, for messages.
  std::string where() const { return options_.address.text(); }

  // Takes a copy of what is to be sent. What is much is sent at once, as far as that goes without waiting; the rest
  // when an answer is waited for.
  void put(const RedisArguments& command);
  void put(const RedisCommands& commands);
  // Sends all that was put, as far as that goes without waiting.
  void flush() { send_from(1); }
  // The answer to the first command that has none yet; an error is an answer too.
  RedisReply receive();
  // The same; throws what Redis refuses as redis_error() understands it.
  RedisReply receive_checked();
  // Returns when at least so many bytes of answers have come, without having been woken for fewer. There must be as
  // many under way, and of those before nothing.
  void await(std::size_t bytes);
  // put() and receive_checked(); nothing else may be under way.
  RedisReply ask(const RedisArguments& command);

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
  };
  using Deadline = std::chrono::steady_clock::time_point;

  void connect();
  void say_hello();
  // Sends while at least so many bytes wait to be, and the socket takes them.
  void send_from(std::size_t bytes);
  // Both return whether there was anything to do without waiting.
  bool send_some();
  bool read_some();
  short wait(short events, Deadline deadline);
  [[noreturn]] void fail(const StreamError& error) const;
  [[noreturn]] void fail(const std::string& problem) const;

  const RedisSessionOptions options_;
  const Stop& stop_;
  std::optional<Stream> stream_;
  std::unique_ptr<redisReader, FreeReader> reader_;
  // What is to be sent, from sent_ on. Not a buffer of hiredis: hiredis moves that up after each piece that the
  // socket has taken, which for a large command takes longer than to send it.
  std::string output_;
  std::size_t sent_ = 0;
  int version_major_ = 0;
  bool is_replica_ = false;
};

}  // namespace anabranch
