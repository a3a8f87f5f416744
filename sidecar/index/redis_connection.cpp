#include "sidecar/index/redis_connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_error.hpp"
#include "sidecar/value_file.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t send_bytes_min = std::size_t{64} << 10;     // put() sends no less: a call a command is slow
constexpr std::size_t receive_bytes_max = std::size_t{64} << 10;  // at once
constexpr std::size_t answer_bytes_max = std::size_t{256} << 20;  // not yet taken apart

constexpr const char* unreachable_remedy = "see that Redis runs and that it can be reached from this host";

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
    else
      wait(output_.empty() ? POLLIN : POLLIN | POLLOUT, deadline);
    if (stop_.requested()) throw Interrupted();
  }
}

RedisReply RedisConnection::receive_checked() {
  auto reply = receive();
  if (reply->type == REDIS_REPLY_ERROR) throw redis_error(text_of(*reply), where());
  return reply;
}

void RedisConnection::await(std::size_t bytes) {
  const auto wake_at = [&](int least) { setsockopt(descriptor(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)); };
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
  if (options_.address.tls)
    connect_tls();
  else
    connect_plain();
}

void RedisConnection::connect_plain() {
  const auto& address = options_.address;
  socket_.reset(address.host.empty() ? redisConnectUnixNonBlock(address.path.c_str())
                                     : redisConnectNonBlock(address.host.c_str(), address.port));
  if (!socket_) throw std::bad_alloc();
  if (socket_->err != 0) fail(socket_->errstr);
  fcntl(descriptor(), F_SETFD, FD_CLOEXEC);
  wait(POLLOUT, Clock::now() + connect_timeout());
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) fail(std::strerror(error));
}

void RedisConnection::connect_tls() {
  try {
    tls_.emplace(TlsOptions{.host = options_.address.host,
                            .port = options_.address.port,
                            .files = options_.tls,
                            .connect_timeout = connect_timeout()},
                 stop_);
  } catch (const TlsError& error) {
    fail(error);
  }
}

milliseconds RedisConnection::connect_timeout() const {
  return std::min(options_.connect_timeout, options_.request_timeout);
}

// HELLO authenticates and tells the server's version and role in one. Redis answers it whatever a user may do.
void RedisConnection::say_hello() {
  RedisArguments command{"HELLO", "2"};
  if (!options_.password_file.empty() || !options_.user.empty())
    command.add({"AUTH", options_.user.empty() ? "default" : options_.user, password()});
  const auto reply = ask(command);
  for (std::size_t i = 0; i + 1 < reply->elements; i += 2) {
    const auto name = text_of(*reply->element[i]), value = text_of(*reply->element[i + 1]);
    if (name == "version") std::from_chars(value.data(), value.data() + value.size(), version_major_);
    if (name == "role") is_replica_ = value != "master";
  }
}

std::string RedisConnection::password() const {
  if (options_.password_file.empty()) return {};
  try {
    return read_value_file(options_.password_file, true);
  } catch (const ValueFileError& error) {
    throw IndexError(IndexError::Kind::refused, "password_file: " + error.problem(), error.remedy());
  }
}

// A failure will be met by receive(), which has a caller to tell.
void RedisConnection::send_from(std::size_t bytes) {
  while (output_.size() - sent_ >= bytes && send_some()) {
  }
}

bool RedisConnection::send_some() {
  if (output_.empty()) return false;
  const std::size_t count = send_bytes(std::string_view(output_).substr(sent_));
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
  const auto count = receive_bytes(buffer);
  if (!count) return false;
  if (*count == 0) fail("it has closed the connection");
  if (redisReaderFeed(reader_.get(), buffer.data(), *count) != REDIS_OK) throw std::bad_alloc();
  return true;
}

std::size_t RedisConnection::send_bytes(std::string_view bytes) {
  try {
    if (tls_) return tls_->send(bytes);
  } catch (const TlsError& error) {
    fail(error);
  }
  const auto count = ::send(descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<std::size_t>(count);  // where it is no matter of waiting, reading fails too
}

std::optional<std::size_t> RedisConnection::receive_bytes(std::span<char> buffer) {
  try {
    if (tls_) return tls_->receive(buffer);
  } catch (const TlsError& error) {
    fail(error);
  }
  const auto count = recv(descriptor(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count >= 0) return static_cast<std::size_t>(count);
  if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) fail(std::strerror(errno));
  return std::nullopt;
}

short RedisConnection::wait(short events, Deadline deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
  if (left.count() <= 0) fail("it does not answer in time");
  std::array<pollfd, 2> descriptors{pollfd{descriptor(), events, 0}, pollfd{stop_.descriptor(), POLLIN, 0}};
  const auto ready = poll(descriptors.data(), descriptors.size(), static_cast<int>(left.count()));
  if (stop_.requested()) throw Interrupted();
  if (ready == 0) fail("it does not answer in time");
  return descriptors[0].revents;
}

void RedisConnection::fail(const TlsError& error) const {
  if (!error.refused()) fail(std::string(error.what()));
  throw IndexError(IndexError::Kind::refused,
                   fmt::format("Redis at {} is not trusted, or does not trust us: {}", where(), error.what()),
                   "correct url, ca_file, and certificate_file where it asks for one");
}

void RedisConnection::fail(const std::string& problem) const {
  throw IndexError(IndexError::Kind::unreachable, fmt::format("Redis at {} cannot be reached: {}", where(), problem),
                   unreachable_remedy);
}

}  // namespace anabranch
