#include "sidecar/pg/connection.hpp"

#include <fmt/format.h>
#include <poll.h>

#include "sidecar/pg/connect_parameters.hpp"
#include "sidecar/pg/connection_impl.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;

// libpq would send what stands before the zero byte.
void check_text(const std::string& sql) {
  if (sql.find('\0') != sql.npos) throw PgError("22021", "a statement holds a zero byte");
}

}  // namespace

Connection::Connection(const ConnectOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->stop = options.stop;
  impl_->response_timeout = options.response_timeout;
  impl_->connect(options);
  impl_->set_up(options);
}

Connection::~Connection() = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;

Result Connection::exec(const std::string& sql) {
  impl_->check_idle();
  check_text(sql);
  return impl_->interruptible([&] {
    impl_->check_sent(PQsendQuery(handle(), sql.c_str()));
    return impl_->last_result();
  });
}

Result Connection::exec(const std::string& sql, const Parameters& parameters) {
  impl_->check_idle();
  return impl_->interruptible([&] {
    impl_->check_sent(PQsendQueryParams(handle(), sql.c_str(), static_cast<int>(parameters.size()),
                                        parameters.types_.data(), parameters.values_.data(), parameters.lengths_.data(),
                                        parameters.formats_.data(), 0));
    return impl_->last_result();
  });
}

void Connection::prepare(const std::string& name, const std::string& sql) {
  impl_->check_idle();
  if (impl_->prepared.contains(name)) return;
  impl_->interruptible([&] {
    impl_->check_sent(PQsendPrepare(handle(), name.c_str(), sql.c_str(), 0, nullptr));
    return impl_->last_result();
  });
  impl_->prepared.insert(name);
}

Result Connection::exec_prepared(const std::string& name, const Parameters& parameters) {
  impl_->check_idle();
  return impl_->interruptible([&] {
    impl_->check_sent(PQsendQueryPrepared(handle(), name.c_str(), static_cast<int>(parameters.size()),
                                          parameters.values_.data(), parameters.lengths_.data(),
                                          parameters.formats_.data(), 0));
    return impl_->last_result();
  });
}

void Connection::send(const std::string& sql, const Parameters& parameters) {
  impl_->enter_pipeline();
  impl_->interruptible([&] {
    impl_->check_sent(PQsendQueryParams(handle(), sql.c_str(), static_cast<int>(parameters.size()),
                                        parameters.types_.data(), parameters.values_.data(), parameters.lengths_.data(),
                                        parameters.formats_.data(), 0));
    ++impl_->pending;
    impl_->flush(impl_->stop);
  });
}

void Connection::send_prepared(const std::string& name, const Parameters& parameters) {
  impl_->enter_pipeline();
  impl_->interruptible([&] {
    impl_->check_sent(PQsendQueryPrepared(handle(), name.c_str(), static_cast<int>(parameters.size()),
                                          parameters.values_.data(), parameters.lengths_.data(),
                                          parameters.formats_.data(), 0));
    ++impl_->pending;
    impl_->flush(impl_->stop);
  });
}

std::vector<Result> Connection::collect() {
  std::vector<Result> results;
  if (impl_->pending == 0 && (!impl_->connection || PQpipelineStatus(handle()) == PQ_PIPELINE_OFF)) return results;
  std::optional<PgError> failure;
  try {
    impl_->interruptible([&] { impl_->collect(results, failure); });
  } catch (const PgError& lost) {
    impl_->pending = 0;
    if (failure && failure->connection_lost()) throw *failure;  // it says why the server closed the connection
    throw;
  }
  if (failure) throw *failure;
  return results;
}

size_t Connection::pending() const {
  return impl_->pending;
}

std::optional<Notification> Connection::notification(milliseconds wait) {
  impl_->check_idle();
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    if (PQconsumeInput(handle()) == 0) impl_->throw_lost("the connection broke");
    struct Deleter {
      void operator()(PGnotify* notify) const { PQfreemem(notify); }
    };
    const std::unique_ptr<PGnotify, Deleter> notify(PQnotifies(handle()));
    if (notify) return Notification{notify->relname, notify->extra, notify->be_pid};
    if (PQstatus(handle()) == CONNECTION_BAD) impl_->throw_lost("the connection broke");
    if (!impl_->wait(POLLIN, deadline, impl_->stop)) return std::nullopt;
  }
}

Connection::Input Connection::wait_for_input(milliseconds wait, int wake) {
  const int left = PQflush(handle());
  if (left < 0) impl_->throw_lost("the connection broke while sending");
  pollfd descriptors[2] = {{PQsocket(handle()), static_cast<short>(left == 0 ? POLLIN : POLLIN | POLLOUT), 0},
                           {wake, POLLIN, 0}};
  if (poll(descriptors, 2, poll_timeout(std::chrono::steady_clock::now() + wait)) <= 0) return Input::none;
  if (descriptors[0].revents == 0) return Input::woken;
  if (PQconsumeInput(handle()) == 0) impl_->throw_lost("the connection broke");
  return Input::arrived;
}

PgError Connection::failure(const pg_result* result) const {
  return impl_->error_of(result);
}

void Connection::set_response_timeout(milliseconds timeout) {
  impl_->response_timeout = timeout;
}

void Connection::set_stop(const Stop* stop) {
  impl_->stop = stop;
}

bool Connection::in_transaction() const {
  const PGTransactionStatusType status = PQtransactionStatus(handle());
  return status != PQTRANS_IDLE && status != PQTRANS_UNKNOWN;
}

bool Connection::usable() const {
  return impl_ && handle() != nullptr && PQstatus(handle()) == CONNECTION_OK;
}
int Connection::server_version() const {
  return PQserverVersion(handle());
}
int Connection::process_id() const {
  return PQbackendPID(handle());
}

std::string Connection::description() const {
  const auto word = [](const char* text) { return std::string_view(text == nullptr ? "" : text); };
  return fmt::format("host={} port={} dbname={} user={}", word(PQhost(handle())), word(PQport(handle())),
                     word(PQdb(handle())), word(PQuser(handle())));
}

std::string Connection::quote_literal(std::string_view value) const {
  return connect_parameters::quote_literal(value);
}

std::string Connection::quote_identifier(std::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted += '"';
}

pg_conn* Connection::handle() const {
  return impl_->connection.get();
}

}  // namespace anabranch
