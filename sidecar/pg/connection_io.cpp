// How a session waits: libpq in nonblocking mode, poll() on its socket, the deadline and the Stop together. Where a
// wait is ended by the Stop, the statement under way is cancelled at the server and its answer read, so that the
// session stays in step.
#include <algorithm>
#include <cerrno>
#include <climits>

#include <fmt/format.h>
#include <poll.h>

#include "sidecar/logging.hpp"
#include "sidecar/pg/connect_parameters.hpp"
#include "sidecar/pg/connection_impl.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;

// How long a cancelled statement may take to end before the session is given up.
constexpr milliseconds cancel_wait_max{5'000};

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

}  // namespace

int poll_timeout(std::optional<std::chrono::steady_clock::time_point> deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<milliseconds>(*deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, INT_MAX));
}

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
      connection.reset();  // the answer may still come: it must not be taken for the next statement's
      throw PgError(sqlstate_lost, fmt::format("no answer from the server within {} ms", response_timeout.count()), {},
                    {}, true);
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
    const ExecStatusType status = PQresultStatus(result.get());
    const bool copy = status == PGRES_COPY_BOTH;
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
      connection.reset();  // libpq would give the same result for ever
      throw PgError("0A000", "COPY is not for this function", {}, {}, true);
    }
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

}  // namespace anabranch
