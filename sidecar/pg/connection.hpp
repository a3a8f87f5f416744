// libpq with an owner for every handle, one exception type that carries the SQLSTATE, and no wait that cannot be ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/pg/result.hpp"
#include "sidecar/stop.hpp"

struct pg_conn;

namespace anabranch {

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
  bool replication = false;  // a walsender session (replication=database); ReplicationStream sets it
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

  // Changes ConnectOptions::stop from the next wait on.
  void set_stop(const Stop* stop);

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

  // The rest is for wrappers of what libpq can do beyond statements (ReplicationStream).
  pg_conn* handle() const;
  enum class Input { none, arrived, woken };
  // Sends what is waiting to be sent and waits until the server has sent something (arrived), `wake` is readable
  // (woken), or `wait` is over (none). Does not look at the Stop.
  Input wait_for_input(std::chrono::milliseconds wait, int wake = -1);
  // A failed result as an error.
  PgError failure(const pg_result* result) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
