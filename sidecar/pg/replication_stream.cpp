#include "sidecar/pg/replication_stream.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>
#include <libpq-fe.h>

#include "sidecar/pg/connect_parameters.hpp"
#include "sidecar/pg/epoch.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;

// Message types and sizes of the streaming replication protocol, there for good.
constexpr char type_data = 'w', type_keepalive = 'k', type_status = 'r';
constexpr size_t data_header_size = 1 + 8 + 8 + 8;
constexpr size_t keepalive_size = 1 + 8 + 8 + 1;
constexpr size_t status_size = 1 + 8 + 8 + 8 + 8 + 1;

uint64_t read_int64(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, 8);
  return __builtin_bswap64(value);  // network order
}

char* write_int64(char* at, uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, 8);
  return at + 8;
}

static_assert(std::endian::native == std::endian::little, "the protocol's integers are swapped from and to memory");

ConnectOptions for_replication(ConnectOptions options) {
  options.replication = true;
  return options;
}

PgError malformed(std::string_view message) {
  return PgError("08P01",
                 fmt::format("a message of type \"{}\" and {} bytes is not one of the replication stream",
                             message.substr(0, 1), message.size()),
                 {}, {}, true);
}

}  // namespace

ReplicationStream::ReplicationStream(ConnectOptions options) : connection_(for_replication(std::move(options))) {}
ReplicationStream::~ReplicationStream() = default;

SystemIdentity ReplicationStream::identify_system() {
  const Result result = connection_.exec("IDENTIFY_SYSTEM");
  SystemIdentity identity;
  identity.system_identifier = result.text(0, result.column("systemid"));
  identity.timeline = static_cast<uint32_t>(result.integer(0, result.column("timeline")));
  identity.flushed = result.lsn(0, result.column("xlogpos"));
  identity.database = result.text(0, result.column("dbname"));
  return identity;
}

Result ReplicationStream::exec(const std::string& sql) {
  return connection_.exec(sql);
}

void ReplicationStream::start(const std::string& slot, Lsn from,
                              const std::vector<std::pair<std::string, std::string>>& plugin_options) {
  std::string command =
      fmt::format("START_REPLICATION SLOT {} LOGICAL {}", Connection::quote_identifier(slot), from.to_string());
  char separator = '(';
  for (const auto& [name, value] : plugin_options) {
    // The grammar of the replication protocol knows only '...' with doubled quotes: a backslash there is a backslash.
    std::string literal = "'";
    for (const char c : value) literal.append(c == '\'' ? 2 : 1, c);
    fmt::format_to(std::back_inserter(command), "{} {} {}'", separator, Connection::quote_identifier(name), literal);
    separator = ',';
  }
  if (separator == ',') command += ')';
  connection_.exec(command);
  streaming_ = true;
  received_ = std::max(received_, from);
}

std::optional<StreamMessage> ReplicationStream::read(std::chrono::milliseconds wait, int wake) {
  const auto deadline = Clock::now() + wait;
  for (;;) {
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection_.handle(), &buffer, 1);
    if (size > 0) {
      StreamMessage message;
      message.storage = std::shared_ptr<const void>(buffer, [](char* copied) { PQfreemem(copied); });
      const std::string_view bytes(buffer, static_cast<size_t>(size));
      if (bytes[0] == type_data && bytes.size() >= data_header_size) {
        message.kind = StreamMessage::Kind::data;
        message.start = Lsn(read_int64(buffer + 1));
        message.end = Lsn(read_int64(buffer + 9));
        message.sent_at = static_cast<int64_t>(read_int64(buffer + 17));
        message.data = bytes.substr(data_header_size);
      } else if (bytes[0] == type_keepalive && bytes.size() == keepalive_size) {
        message.end = Lsn(read_int64(buffer + 1));
        message.sent_at = static_cast<int64_t>(read_int64(buffer + 9));
        message.reply_requested = buffer[17] != 0;
      } else {
        throw malformed(bytes);
      }
      return message;
    }
    if (size < 0) end_of_stream();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() < 0) return std::nullopt;
    switch (connection_.wait_for_input(left, wake)) {
      case Connection::Input::none:
      case Connection::Input::woken:
        return std::nullopt;
      case Connection::Input::arrived:
        break;
    }
  }
}

void ReplicationStream::end_of_stream() {
  streaming_ = false;
  struct Deleter {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  const std::unique_ptr<PGresult, Deleter> result(PQgetResult(connection_.handle()));
  if (result && PQresultStatus(result.get()) == PGRES_FATAL_ERROR) throw connection_.failure(result.get());
  if (PQstatus(connection_.handle()) == CONNECTION_BAD)
    throw PgError("08006", connect_parameters::trim(PQerrorMessage(connection_.handle())), {}, {}, true);
  throw PgError("57P01", "the server has ended the replication stream", {}, {}, true);
}

void ReplicationStream::send_status(Lsn received, Lsn flushed, bool reply_requested) {
  flushed_ = std::max(flushed_, flushed);
  received_ = std::max({received_, received, flushed_});
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()) -
      std::chrono::microseconds(micros_to_postgres_epoch);
  char message[status_size];
  message[0] = type_status;
  char* at = write_int64(message + 1, received_.value());
  at = write_int64(at, flushed_.value());
  at = write_int64(at, flushed_.value());  // applied
  at = write_int64(at, static_cast<uint64_t>(now.count()));
  *at = reply_requested ? 1 : 0;
  // 0: libpq's buffer is full since the server takes nothing. It knows nothing new then; the next status says it all.
  if (PQputCopyData(connection_.handle(), message, status_size) < 0 || PQflush(connection_.handle()) < 0)
    throw PgError("08006", connect_parameters::trim(PQerrorMessage(connection_.handle())), {}, {}, true);
}

void ReplicationStream::finish(std::chrono::milliseconds wait) noexcept {
  if (!streaming_) return;
  streaming_ = false;
  try {
    if (PQputCopyEnd(connection_.handle(), nullptr) != 1) return;
    const auto deadline = Clock::now() + wait;
    // What was under way to us is read and dropped: the server answers after it.
    for (;;) {
      char* buffer = nullptr;
      const int size = PQgetCopyData(connection_.handle(), &buffer, 1);
      if (size > 0) PQfreemem(buffer);
      if (size < 0) return;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      if (left.count() < 0) return;
      if (size == 0 && connection_.wait_for_input(left) == Connection::Input::none) return;
    }
  } catch (...) {  // the connection is on its way out anyhow
  }
}

}  // namespace anabranch
