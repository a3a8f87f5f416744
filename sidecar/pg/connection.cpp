#include "sidecar/pg/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include "sidecar/logging.hpp"
#include "sidecar/pg/connect_parameters.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long a cancelled statement may take to end before the session is given up.
constexpr milliseconds cancel_wait_max{5'000};

// "08006": connection failure.
constexpr const char* sqlstate_lost = "08006";

struct CancelDeleter {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

// Shutdowns end the session a moment after the statement; class 08 is the connection itself.
bool is_connection_loss(std::string_view sqlstate) {
  return sqlstate.starts_with("08") || sqlstate == "57P01" || sqlstate == "57P02" || sqlstate == "57P03" ||
         sqlstate == "57P05";
}

// What the server says beside its answers: warnings are for the log's reader, the rest is for who looks for a fault.
void receive_notice(void*, const PGresult* result) {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string_view(text == nullptr ? "" : text);
  };
  const bool warning = field(PG_DIAG_SEVERITY_NONLOCALIZED) == "WARNING";
  log_line(warning ? LogLevel::warning : LogLevel::debug, field(PG_DIAG_MESSAGE_PRIMARY),
           {{"sqlstate", field(PG_DIAG_SQLSTATE)}, {"hint", field(PG_DIAG_MESSAGE_HINT)}});
}

// Milliseconds for poll(): -1 without a deadline, never negative with one.
int poll_timeout(std::optional<Clock::time_point> deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, INT_MAX));
}

bool succeeded(const PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_BOTH:
    case PGRES_PIPELINE_SYNC:
      return true;
    default:
      return false;
  }
}

// libpq would send what stands before the zero byte.
void check_text(const std::string& sql) {
  if (sql.find('\0') != sql.npos) throw PgError("22021", "a statement holds a zero byte");
}

}  // namespace

struct Connection::Impl {
  struct Deleter {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  std::unique_ptr<PGconn, Deleter> connection;
  const Stop* stop = nullptr;
  milliseconds response_timeout{0};
  std::set<std::string> prepared;
  size_t pending = 0;  // statements sent in the pipeline and not collected

  void connect(const ConnectOptions& options);
  void set_up(const ConnectOptions& options);

  // Waits for the socket; returns false when the deadline passed. Throws Interrupted without touching the session.
  bool wait(short events, std::optional<Clock::time_point> deadline, const Stop* interruption);
  void flush(const Stop* interruption);
  // The next result; nullptr at the end of a statement's results.
  std::unique_ptr<PGresult, void (*)(PGresult*)> next_result(const Stop* interruption,
                                                             std::optional<Clock::time_point> give_up = {});
  // Runs `body`; when it is interrupted the server is told, and the session made usable again or given up.
  template <typename Body>
  auto interruptible(Body body) {
    try {
      return body();
    } catch (const Interrupted&) {
      cancel_and_drain();
      throw;
    }
  }
  void cancel_and_drain() noexcept;

  Result last_result();
  // Reads the results of a pipeline and leaves it; the first failure goes to `failure`.
  void collect(std::vector<Result>& results, std::optional<PgError>& failure);
  void check_idle();
  void check_sent(int sent);
  void enter_pipeline();
  [[noreturn]] void throw_lost(std::string_view what);
  PgError error_of(const PGresult* result) const;
};

bool Connection::Impl::wait(short events, std::optional<Clock::time_point> deadline, const Stop* interruption) {
  pollfd descriptors[2] = {{PQsocket(connection.get()), events, 0},
                           {interruption == nullptr ? -1 : interruption->descriptor(), POLLIN, 0}};
  for (;;) {
    const int ready = poll(descriptors, 2, poll_timeout(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) throw PgError(sqlstate_lost, "cannot wait for the server", {}, {}, true);
    if (interruption != nullptr && interruption->requested()) throw Interrupted();
    if (ready > 0) return true;
    if (deadline && Clock::now() >= *deadline) return false;
  }
}

void Connection::Impl::throw_lost(std::string_view what) {
  std::string message = connect_parameters::trim(PQerrorMessage(connection.get()));
  throw PgError(sqlstate_lost, message.empty() ? std::string(what) : message, {}, {}, true);
}

PgError Connection::Impl::error_of(const PGresult* result) const {
  const auto field = [&](int code) {
    const char* text = PQresultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  std::string sqlstate = field(PG_DIAG_SQLSTATE);
  std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
  const bool lost = PQstatus(connection.get()) == CONNECTION_BAD || is_connection_loss(sqlstate);
  if (message.empty()) message = connect_parameters::trim(PQresultErrorMessage(result));
  if (message.empty()) message = connect_parameters::trim(PQerrorMessage(connection.get()));
  if (message.empty())
    message = fmt::format("the server answered with an unexpected {}", PQresStatus(PQresultStatus(result)));
  if (sqlstate.empty()) sqlstate = lost ? sqlstate_lost : "XX000";
  PgError error(std::move(sqlstate), std::move(message), field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT),
                lost);
  error.context_ = field(PG_DIAG_CONTEXT);
  return error;
}

void Connection::Impl::connect(const ConnectOptions& options) {
  const connect_parameters::Parameters parameters = connect_parameters::parse(options);
  const auto keywords = parameters.keywords();
  const auto values = parameters.values();
  connection.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
  if (!connection) throw std::bad_alloc();
  // The only way to learn the SQLSTATE of a refused connection: libpq then prints it into the message.
  PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
  PQsetNoticeReceiver(connection.get(), receive_notice, nullptr);
  const auto deadline = Clock::now() + options.connect_timeout;
  PostgresPollingStatusType status =
      PQstatus(connection.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
    if (!wait(status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, stop))
      throw PgError("08001",
                    fmt::format("no connection to the server within {} ms ({})", options.connect_timeout.count(),
                                parameters.description()),
                    {}, {}, true);
    status = PQconnectPoll(connection.get());
  }
  if (status != PGRES_POLLING_OK) throw parameters.failure(PQerrorMessage(connection.get()));
  PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
  PQsetnonblocking(connection.get(), 1);
}

void Connection::Impl::set_up(const ConnectOptions& options) {
  std::vector<std::pair<std::string, std::string>> settings = {{"search_path", ""},
                                                               {"jit", "off"},
                                                               {"DateStyle", "ISO"},
                                                               {"default_transaction_isolation", "read committed"},
                                                               {"statement_timeout", "0"},
                                                               {"lock_timeout", "0"},
                                                               {"idle_in_transaction_session_timeout", "0"},
                                                               {"idle_session_timeout", "0"}};
  if (PQserverVersion(connection.get()) >= 170000) settings.emplace_back("transaction_timeout", "0");
  if (!options.synchronous_commit.empty()) settings.emplace_back("synchronous_commit", options.synchronous_commit);
  settings.insert(settings.end(), options.settings.begin(), options.settings.end());
  // The first statement, and every name in it qualified: the path is still the one of role or database.
  std::string sql = "SELECT ";
  for (const auto& [name, value] : settings)
    fmt::format_to(std::back_inserter(sql), "{}pg_catalog.set_config({}, {}, false)", sql.size() > 7 ? ", " : "",
                   connect_parameters::quote_literal(name), connect_parameters::quote_literal(value));
  interruptible([&] {
    check_sent(PQsendQuery(connection.get(), sql.c_str()));
    return last_result();
  });
}

void Connection::Impl::check_sent(int sent) {
  if (sent == 1) return;
  if (PQstatus(connection.get()) == CONNECTION_BAD) throw_lost("the connection is lost");
  throw PgError("XX000", connect_parameters::trim(PQerrorMessage(connection.get())));
}

void Connection::Impl::check_idle() {
  if (!connection || PQstatus(connection.get()) == CONNECTION_BAD)
    throw PgError(sqlstate_lost, "the connection is lost", {}, {}, true);
  if (pending > 0) throw std::logic_error("a pipeline is open: collect() its results first");
}

void Connection::Impl::flush(const Stop* interruption) {
  for (;;) {
    const int left = PQflush(connection.get());
    if (left == 0) return;
    if (left < 0) throw_lost("the connection broke while sending");
    std::optional<Clock::time_point> deadline;
    if (response_timeout.count() > 0) deadline = Clock::now() + response_timeout;
    // The server may have to get rid of answers before it reads on, hence both directions.
    if (!wait(POLLIN | POLLOUT, deadline, interruption)) throw_lost("the server takes no data");
    if (PQconsumeInput(connection.get()) == 0) throw_lost("the connection broke while sending");
  }
}

std::unique_ptr<PGresult, void (*)(PGresult*)> Connection::Impl::next_result(const Stop* interruption,
                                                                             std::optional<Clock::time_point> give_up) {
  while (PQisBusy(connection.get())) {
    std::optional<Clock::time_point> deadline = give_up;
    if (!deadline && response_timeout.count() > 0) deadline = Clock::now() + response_timeout;
    if (!wait(POLLIN, deadline, interruption)) {
      PgError error(sqlstate_lost, fmt::format("no answer from the server within {} ms", response_timeout.count()), {},
                    {}, true);
      connection.reset();  // the answer may still come: it must not be taken for the next statement's
      throw error;
    }
    if (PQconsumeInput(connection.get()) == 0) throw_lost("the connection broke");
  }
  return {PQgetResult(connection.get()), PQclear};
}

void Connection::Impl::cancel_and_drain() noexcept {
  try {
    const std::unique_ptr<PGcancel, CancelDeleter> cancel(PQgetCancel(connection.get()));
    char error[256];
    const bool in_pipeline = PQpipelineStatus(connection.get()) != PQ_PIPELINE_OFF;
    const auto deadline = Clock::now() + cancel_wait_max;
    bool drained = cancel && PQcancel(cancel.get(), error, sizeof error) == 1;
    if (drained && in_pipeline && PQpipelineSync(connection.get()) != 1) drained = false;
    while (drained && PQflush(connection.get()) == 1)
      drained = wait(POLLIN | POLLOUT, deadline, nullptr) && PQconsumeInput(connection.get()) == 1;
    // A statement ends with one nullptr; in a pipeline every statement does, and the last word is the sync's.
    for (bool end = false; drained && !end;) {
      const auto result = next_result(nullptr, deadline);
      end = in_pipeline ? PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC : !result;
      drained = PQstatus(connection.get()) == CONNECTION_OK;
    }
    if (drained && in_pipeline) drained = PQexitPipelineMode(connection.get()) == 1;
    if (!drained) connection.reset();
  } catch (...) {
    connection.reset();
  }
  pending = 0;
}

Result Connection::Impl::last_result() {
  flush(stop);
  std::unique_ptr<PGresult, void (*)(PGresult*)> last(nullptr, PQclear), failed(nullptr, PQclear);
  while (auto result = next_result(stop)) {
    const bool copy = PQresultStatus(result.get()) == PGRES_COPY_BOTH;
    if (succeeded(result.get()))
      last = std::move(result);
    else if (!failed)
      failed = std::move(result);
    if (copy || PQstatus(connection.get()) == CONNECTION_BAD) break;  // a stream has begun, its results come at its end
  }
  if (failed) throw error_of(failed.get());
  if (!last) throw_lost("the server closed the connection");
  return Result(last.release());
}

void Connection::Impl::enter_pipeline() {
  if (!connection || PQstatus(connection.get()) == CONNECTION_BAD)
    throw PgError(sqlstate_lost, "the connection is lost", {}, {}, true);
  if (PQpipelineStatus(connection.get()) == PQ_PIPELINE_OFF) check_sent(PQenterPipelineMode(connection.get()));
}

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

void Connection::Impl::collect(std::vector<Result>& results, std::optional<PgError>& failure) {
  check_sent(PQpipelineSync(connection.get()));
  flush(stop);
  for (size_t number = 0; number < pending;) {
    auto result = next_result(stop);
    if (!result) {
      if (PQstatus(connection.get()) == CONNECTION_BAD) throw_lost("the server closed the connection");
      ++number;  // the end of one statement's results
    } else if (succeeded(result.get())) {
      results.emplace_back(result.release());
    } else if (!failure && PQresultStatus(result.get()) != PGRES_PIPELINE_ABORTED) {
      failure = error_of(result.get());
      failure->statement_ = number;
    }
  }
  const auto sync = next_result(stop);
  if (PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC) throw_lost("the server closed the connection");
  // Clears the way out of the pipeline, which is refused while anything is unread.
  while (const auto rest = next_result(stop)) {
  }
  pending = 0;
  check_sent(PQexitPipelineMode(connection.get()));
}

size_t Connection::pending() const {
  return impl_->pending;
}

std::optional<Notification> Connection::notification(milliseconds wait) {
  impl_->check_idle();
  const auto deadline = Clock::now() + wait;
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
  if (poll(descriptors, 2, poll_timeout(Clock::now() + wait)) <= 0) return Input::none;
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
