// libpq with an owner for every handle, one exception type that carries the SQLSTATE, and no wait that cannot be ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/pg/lsn.hpp"
#include "sidecar/stop.hpp"

struct pg_conn;
struct pg_result;

namespace anabranch {

// A statement or a connection that failed. The caller decides by sqlstate() and connection_lost(); message, detail and
// hint are the server's (or libpq's) words, without trailing newline. No password is ever in them.
class PgError : public std::runtime_error {
 public:
  PgError(std::string sqlstate, std::string message, std::string detail = {}, std::string hint = {},
          bool connection_lost = false);

  // Five characters; "08006" or "08001" where the connection broke or could not be made and the server said nothing.
  const std::string& sqlstate() const { return sqlstate_; }
  const std::string& message() const { return message_; }
  const std::string& detail() const { return detail_; }
  const std::string& hint() const { return hint_; }
  // The server's CONTEXT lines; empty when there are none.
  const std::string& context() const { return context_; }
  // The session is gone: make a new one. What a COMMIT under way did is unknown until the progress has been read again.
  bool connection_lost() const { return connection_lost_; }
  // In a pipeline: which of the statements sent since the last collect() failed, from 0. Otherwise 0.
  size_t statement() const { return statement_; }

 private:
  friend class Connection;
  std::string sqlstate_, message_, detail_, hint_, context_;
  bool connection_lost_;
  size_t statement_ = 0;
};

// The rows of one statement. Every string_view points into it: valid only as long as the Result lives. Movable.
// The typed readers throw PgError (SQLSTATE 22023) for NULL or a text that is no such value.
class Result {
 public:
  explicit Result(pg_result* result) : result_(result) {}

  size_t rows() const;
  size_t columns() const;
  // Index of a column by its name; throws PgError (SQLSTATE 42703) when there is none.
  size_t column(std::string_view name) const;
  bool null(size_t row, size_t column) const;
  // Text format. Empty for NULL.
  std::string_view text(size_t row, size_t column) const;
  int64_t integer(size_t row, size_t column) const;
  bool boolean(size_t row, size_t column) const;
  Lsn lsn(size_t row, size_t column) const;
  // An array of integers without NULLs, "{1,2}".
  std::vector<int64_t> integers(size_t row, size_t column) const;
  // nullopt for NULL.
  std::optional<std::string> optional_text(size_t row, size_t column) const;
  std::optional<Lsn> optional_lsn(size_t row, size_t column) const;
  // Rows that INSERT, UPDATE, DELETE, SELECT ... touched, as the command tag says; 0 when it says none.
  uint64_t affected() const;

 private:
  struct Deleter {
    void operator()(pg_result* result) const noexcept;
  };
  std::unique_ptr<pg_result, Deleter> result_;
};

// Parameters of one statement, in order ($1 is the first added). Text values are copied; binary ones are not and must
// live until the call that takes the Parameters has returned.
class Parameters {
 public:
  Parameters& text(std::string_view value);
  Parameters& optional_text(const std::optional<std::string>& value);
  Parameters& integer(int64_t value);
  Parameters& boolean(bool value);
  Parameters& lsn(Lsn value);
  Parameters& null();
  // The type's binary representation. `type_oid` must be given unless the statement casts it: 17 (bytea) by default.
  Parameters& binary(std::string_view value, uint32_t type_oid = 17);

  size_t size() const { return values_.size(); }

 private:
  friend class Connection;
  std::deque<std::string> owned_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<uint32_t> types_;
};

struct Notification {
  std::string channel;
  std::string payload;
  int process_id = 0;
};

// What a session is opened with.
struct ConnectOptions {
  // libpq's keywords or URI. Whatever is missing comes from libpq's variables, service and password file.
  std::string conninfo;
  std::string application_name = "anabranch";
  // Value of synchronous_commit; empty leaves the server's.
  std::string synchronous_commit;
  // Further settings of the session, name and value, applied after our own.
  std::vector<std::pair<std::string, std::string>> settings;
  std::chrono::milliseconds connect_timeout{10'000};
  // Longest silence of the server during a statement; 0: as long as it takes (a dead peer is found by TCP keepalives).
  std::chrono::milliseconds response_timeout{0};
  // Ends every wait of the session with Interrupted; may be null. Must outlive the Connection.
  const Stop* stop = nullptr;
};

// One session. Not for two threads at a time. All waits poll() in nonblocking mode: they end with the answer, with the
// timeout (PgError, connection_lost()), or with the Stop (the statement is cancelled at the server, then Interrupted).
//
// Every session starts with: search_path empty, jit off, DateStyle ISO, client_encoding UTF8, no statement, lock or
// idle timeouts, application_name and synchronous_commit as given.
class Connection {
 public:
  // Connects, or throws PgError. A connection string that cannot be parsed is SQLSTATE 08001 and is not quoted.
  explicit Connection(const ConnectOptions& options);
  ~Connection();
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;

  // Runs one or several statements without parameters (simple protocol); returns the last one's result.
  Result exec(const std::string& sql);
  // Runs one statement with parameters.
  Result exec(const std::string& sql, const Parameters& parameters);
  // Prepares a statement under a name that lives as long as the session; again with the same name: no-op.
  void prepare(const std::string& name, const std::string& sql);
  Result exec_prepared(const std::string& name, const Parameters& parameters);

  // Pipeline: send() hands a statement to the server without waiting for those before it; collect() waits for all and
  // returns their results in order. After the first failure the server skips the rest; collect() then throws that
  // failure's PgError, with statement() set, and the session is out of the pipeline and usable. Between the first
  // send() and collect() no other function of the session may be called. Begin and end of the transaction are the
  // caller's.
  void send(const std::string& sql, const Parameters& parameters);
  void send_prepared(const std::string& name, const Parameters& parameters);
  std::vector<Result> collect();
  size_t pending() const;

  // LISTEN has been executed before. Waits for up to `wait` (0: only looks); nullopt when none came.
  std::optional<Notification> notification(std::chrono::milliseconds wait);

  // Changes ConnectOptions::response_timeout from the next statement on.
  void set_response_timeout(std::chrono::milliseconds timeout);

  // Whether a transaction block is open (failed ones included).
  bool in_transaction() const;
  bool usable() const;
  int server_version() const;  // 150020
  int process_id() const;      // of the server's backend
  // "host=... port=... dbname=... user=...": for people; never a password.
  std::string description() const;

  // For values that must stand in the text of a statement that takes no parameters.
  std::string quote_literal(std::string_view value) const;
  static std::string quote_identifier(std::string_view value);

  // The handle, for what has no wrapper; stays owned here.
  pg_conn* handle() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
