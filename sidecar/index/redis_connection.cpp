#include "sidecar/index/redis_connection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "sidecar/index/engine_access.hpp"
#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_error.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t send_bytes_min = std::size_t{64} << 10;     // put() sends no less: a call a command is slow
constexpr std::size_t receive_bytes_max = std::size_t{64} << 10;  // at once
constexpr std::size_t answer_bytes_max = std::size_t{768} << 20;  // not yet taken apart; a document has up to 512 MB

constexpr const char* unreachable_remedy = "see that Redis runs and that it can be reached from this host";
constexpr const char* unreachable_by_tls_remedy =
    "see that Redis runs, that it speaks TLS at this port (its tls-port) and that it can be reached from this host";

// The head of a command or an argument. Not by fmt: it is half of what an argument costs.
void append_number(char kind, std::size_t number, std::string& bytes) {
  std::array<char, std::numeric_limits<std::size_t>::digits10 + 1> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  bytes += kind;
  bytes.append(digits.data(), end).append("\r\n");
}

}  // namespace

void RedisArguments::add(std::string_view argument) {
  append_number('$', argument.size(), bytes_);
  bytes_.append(argument).append("\r\n");
  ++count_;
}

void RedisArguments::add(const RedisArguments& part) {
  bytes_.append(part.bytes_);
  count_ += part.count_;
}

void RedisArguments::clear() {
  bytes_.clear();
  count_ = 0;
}

void RedisCommands::add(const RedisArguments& command) {
  append_number('*', command.count(), bytes_);
  bytes_.append(command.bytes());
  ++count_;
}

std::string_view text_of(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      return {reply.str, reply.len};
    default:
      return {};
  }
}

RedisConnection::RedisConnection(RedisSessionOptions options, const Stop& stop)
    : options_(std::move(options)), stop_(stop) {
  connect();
  say_hello();
  if (options_.address.database != 0) ask({"SELECT", std::to_string(options_.address.database)});
}

void RedisConnection::put(const RedisArguments& command) {
  append_number('*', command.count(), output_);
  output_.append(command.bytes());
  send_from(send_bytes_min);
}

void RedisConnection::put(const RedisCommands& commands) {
  output_.append(commands.bytes());
  send_from(send_bytes_min);
}

RedisReply RedisConnection::receive() {
  auto deadline = Clock::now() + options_.request_timeout;
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK)
      throw IndexError(IndexError::Kind::refused,
                       fmt::format("what answers at {} is no Redis server: {}", where(), reader_->errstr),
                       "correct the url of the Redis server");
    if (reply != nullptr) return RedisReply(static_cast<redisReply*>(reply));
    if (reader_->len > answer_bytes_max)
      throw IndexError(IndexError::Kind::refused,
                       fmt::format("Redis at {} gives an answer longer than {} MB", where(), answer_bytes_max >> 20),
                       "see what the keys of the index hold: it is nothing that Anabranch writes");
    const bool sent = send_some();
    if (read_some() || sent)
      deadline = Clock::now() + options_.request_timeout;
    else if (wait(output_.empty() ? POLLIN : POLLIN | POLLOUT, deadline) & POLLIN)
      deadline = Clock::now() + options_.request_timeout;  // a part of a record of TLS, too
    if (stop_.requested()) throw Interrupted();
  }
}

RedisReply RedisConnection::receive_checked() {
  auto reply = receive();
  if (reply->type == REDIS_REPLY_ERROR) throw redis_error(text_of(*reply), where());
  return reply;
}

void RedisConnection::await(std::size_t bytes) {
  const auto wake_at = [&](int least) {
    setsockopt(stream_->descriptor(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
  };
  wake_at(static_cast<int>(bytes));
  auto deadline = Clock::now() + options_.request_timeout;
  while (!(wait(output_.empty() ? POLLIN : POLLIN | POLLOUT, deadline) & POLLIN))
    if (send_some()) deadline = Clock::now() + options_.request_timeout;
  wake_at(1);
}

RedisReply RedisConnection::ask(const RedisArguments& command) {
  put(command);
  return receive_checked();
}

void RedisConnection::connect() {
  reader_.reset(redisReaderCreate());
  if (!reader_) throw std::bad_alloc();
  check_secret(options_.tls.key, "key_file");
  const RedisAddress& address = options_.address;
  try {
    stream_.emplace(StreamOptions{.host = address.host,
                                  .port = address.port,
                                  .path = address.path,
                                  .tls = address.tls,
                                  .files = options_.tls,
                                  .connect_timeout = std::min(options_.connect_timeout, options_.request_timeout)},
                    stop_);
  } catch (const StreamError& error) {
    fail(error);
  }
}

// HELLO authenticates and tells the server's version and role in one. Redis answers it whatever a user may do.
void RedisConnection::say_hello() {
  RedisArguments command{"HELLO", "2"};
  if (!options_.password_file.empty() || !options_.user.empty())
    command.add({"AUTH", options_.user.empty() ? "default" : options_.user,
                 read_secret(options_.password_file, "password_file")});
  const auto reply = ask(command);
  for (std::size_t i = 0; i + 1 < reply->elements; i += 2) {
    const auto name = text_of(*reply->element[i]), value = text_of(*reply->element[i + 1]);
    if (name == "version") std::from_chars(value.data(), value.data() + value.size(), version_major_);
    if (name == "role") is_replica_ = value != "master";
  }
}

// A failure will be met by receive(), which has a caller to tell.
void RedisConnection::send_from(std::size_t bytes) {
  while (output_.size() - sent_ >= bytes && send_some()) {
  }
}

bool RedisConnection::send_some() {
  if (output_.empty()) return false;
  const std::size_t count = stream_->send(std::string_view(output_).substr(sent_));
  if (count == 0) return false;
  sent_ += count;
  if (sent_ == output_.size()) {
    output_.clear();
    sent_ = 0;
  }
  return true;
}

bool RedisConnection::read_some() {
  std::array<char, receive_bytes_max> buffer;
  std::optional<std::size_t> count;
  try {
    count = stream_->receive(buffer);
  } catch (const StreamError& error) {
    fail(error);
  }
  if (!count) return false;
  if (*count == 0) fail("it has closed the connection");
  if (redisReaderFeed(reader_.get(), buffer.data(), *count) != REDIS_OK) throw std::bad_alloc();
  return true;
}

short RedisConnection::wait(short events, Deadline deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
  if (left.count() <= 0) fail("it does not answer in time");
  std::array<pollfd, 2> descriptors{pollfd{stream_->descriptor(), events, 0}, pollfd{stop_.descriptor(), POLLIN, 0}};
  const auto ready = poll(descriptors.data(), descriptors.size(), static_cast<int>(left.count()));
  if (stop_.requested()) throw Interrupted();
  if (ready == 0) fail("it does not answer in time");
  return descriptors[0].revents;
}

void RedisConnection::fail(const StreamError& error) const {
  if (error.refused()) throw NotTrusted(fmt::format("Redis at {}", where()), error.what());
  fail(std::string(error.what()));
}

void RedisConnection::fail(const std::string& problem) const {
  throw IndexError(IndexError::Kind::unreachable, fmt::format("Redis at {} cannot be reached: {}", where(), problem),
                   options_.address.tls ? unreachable_by_tls_remedy : unreachable_remedy);
}

}  // namespace anabranch
