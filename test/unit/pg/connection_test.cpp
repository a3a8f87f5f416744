#include "sidecar/pg/connection.hpp"

#include <thread>

#include <gmock/gmock.h>

#include "sidecar/pg/snapshot.hpp"
#include "test/unit/pg/database.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

class DatabaseConnection : public test::DatabaseTest {};

PgError error_of(auto body) {
  try {
    body();
  } catch (const PgError& error) {
    return error;
  }
  ADD_FAILURE() << "no PgError";
  return PgError("", "");
}

TEST_F(DatabaseConnection, StartsFromAKnownSession) {
  ConnectOptions wanted = options();
  wanted.application_name = "anabranch test";
  wanted.synchronous_commit = "off";
  wanted.settings = {{"work_mem", "5MB"}, {"lock_timeout", "3s"}};
  Connection connection(wanted);
  const Result row = connection.exec(
      "SELECT current_setting('search_path'), current_setting('jit'), current_setting('application_name'), "
      "current_setting('synchronous_commit'), current_setting('work_mem'), current_setting('lock_timeout'), "
      "current_setting('statement_timeout'), current_setting('client_encoding')");
  const char* expected[] = {"", "off", "anabranch test", "off", "5MB", "3s", "0", "UTF8"};
  for (size_t i = 0; i < std::size(expected); ++i) EXPECT_EQ(row.text(0, i), expected[i]);
  EXPECT_TRUE(connection.usable());
  EXPECT_FALSE(connection.in_transaction());
  EXPECT_GE(connection.server_version(), 150000);
}

TEST_F(DatabaseConnection, RunsStatementsWithParameters) {
  Connection connection(options());
  const std::string binary("a\0b\xff", 4);
  const Result row = connection.exec(
      "SELECT $1::int8, $2::text, $3::boolean, $4::pg_lsn, $5::text IS NULL, length($6), $6 = '\\x610062ff'::bytea, "
      "$7::text",
      Parameters()
          .integer(-5)
          .text("it's")
          .boolean(true)
          .lsn(Lsn(0x10000000A))
          .null()
          .binary(binary)
          .optional_text("x"));
  EXPECT_EQ(row.integer(0, 0), -5);
  EXPECT_EQ(row.text(0, 1), "it's");
  EXPECT_TRUE(row.boolean(0, 2));
  EXPECT_EQ(row.lsn(0, 3), Lsn(0x10000000A));
  EXPECT_TRUE(row.boolean(0, 4));
  EXPECT_EQ(row.integer(0, 5), 4);
  EXPECT_TRUE(row.boolean(0, 6));
  EXPECT_EQ(row.text(0, 7), "x");
  EXPECT_EQ(connection.exec("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2)").affected(), 2u);
  connection.prepare("one", "SELECT a FROM pg_temp.t WHERE a = $1");
  connection.prepare("one", "SELECT a FROM pg_temp.t WHERE a = $1");
  EXPECT_EQ(connection.exec_prepared("one", Parameters().integer(2)).rows(), 1u);
  const Snapshot snapshot = Snapshot::parse(connection.exec("SELECT pg_current_snapshot()").text(0, 0));
  EXPECT_FALSE(snapshot.visible(snapshot.xmax()));
}

TEST_F(DatabaseConnection, ErrorsCarryWhatTheServerSays) {
  Connection connection(options());
  const PgError error = error_of([&] { connection.exec("SELECT 1/0"); });
  EXPECT_EQ(error.sqlstate(), "22012");
  EXPECT_EQ(error.message(), "division by zero");
  EXPECT_FALSE(error.connection_lost());
  const PgError detailed = error_of([&] {
    connection.exec("DO $$BEGIN RAISE EXCEPTION 'm' USING DETAIL = 'd', HINT = 'h', ERRCODE = 'AN001'; END$$");
  });
  EXPECT_EQ(detailed.sqlstate(), "AN001");
  EXPECT_EQ(detailed.detail(), "d");
  EXPECT_EQ(detailed.hint(), "h");
  EXPECT_THAT(detailed.context(), HasSubstr("PL/pgSQL"));
  EXPECT_EQ(connection.exec("SELECT 1").integer(0, 0), 1);
  connection.exec("BEGIN");
  EXPECT_TRUE(connection.in_transaction());
  EXPECT_EQ(error_of([&] { connection.exec("SELECT 1; SELECT 1/0; SELECT 2"); }).sqlstate(), "22012");
  EXPECT_TRUE(connection.in_transaction());
  connection.exec("ROLLBACK");
  EXPECT_FALSE(connection.in_transaction());
}

TEST_F(DatabaseConnection, RefusesCopy) {
  Connection connection(options());
  EXPECT_EQ(error_of([&] { connection.exec("COPY (SELECT 1) TO STDOUT"); }).sqlstate(), "0A000");
  EXPECT_FALSE(connection.usable());
}

TEST_F(DatabaseConnection, PipelinesStatements) {
  Connection connection(options());
  connection.prepare("twice", "SELECT 2 * $1::int");
  for (int round = 0; round < 2; ++round) {
    connection.send("BEGIN", {});
    for (int i = 0; i < 100; ++i) connection.send_prepared("twice", Parameters().integer(i));
    connection.send("COMMIT", {});
    EXPECT_EQ(connection.pending(), 102u);
    const auto results = connection.collect();
    ASSERT_EQ(results.size(), 102u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(results[i + 1].integer(0, 0), 2 * i);
    EXPECT_EQ(connection.pending(), 0u);
    EXPECT_FALSE(connection.in_transaction());
  }
  EXPECT_TRUE(connection.collect().empty());
}

TEST_F(DatabaseConnection, APipelineSaysWhichStatementFailed) {
  Connection connection(options());
  connection.send("BEGIN", {});
  connection.send("SELECT 1", {});
  connection.send("SELECT 1/$1::int", Parameters().integer(0));
  connection.send("SELECT 2", {});
  const PgError error = error_of([&] { connection.collect(); });
  EXPECT_EQ(error.sqlstate(), "22012");
  EXPECT_EQ(error.statement(), 2u);
  EXPECT_TRUE(connection.in_transaction());
  connection.exec("ROLLBACK");
  EXPECT_EQ(connection.exec("SELECT 1").integer(0, 0), 1);
}

TEST_F(DatabaseConnection, APipelineTakesMoreThanTheSocketHolds) {
  Connection connection(options());
  const std::string large(5 << 20, 'x');
  for (int i = 0; i < 8; ++i) connection.send("SELECT $1::bytea", Parameters().binary(large));
  const auto results = connection.collect();
  ASSERT_EQ(results.size(), 8u);
  EXPECT_EQ(results[7].text(0, 0).size(), 2 * large.size() + 2);
}

TEST_F(DatabaseConnection, AStopEndsAStatementAtTheServer) {
  Stop stop;
  ConnectOptions wanted = options();
  wanted.stop = &stop;
  Connection connection(wanted), watcher(options());
  const int backend = connection.process_id();
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request();
  });
  EXPECT_THROW(connection.exec("SELECT pg_sleep(3600)"), Interrupted);
  stopper.join();
  const Result active = watcher.exec("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = $1",
                                     Parameters().integer(backend));
  EXPECT_EQ(active.integer(0, 0), 0);
  EXPECT_THROW(connection.exec("SELECT pg_sleep(60)"), Interrupted);  // it stays requested
}

TEST_F(DatabaseConnection, AStopEndsAPipeline) {
  Stop stop;
  ConnectOptions wanted = options();
  wanted.stop = &stop;
  Connection connection(wanted);
  connection.send("SELECT 1", {});
  connection.send("SELECT pg_sleep(3600)", {});
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request();
  });
  EXPECT_THROW(connection.collect(), Interrupted);
  stopper.join();
}

TEST_F(DatabaseConnection, ASilentServerIsGivenUp) {
  Connection connection(options());
  connection.set_response_timeout(milliseconds(100));
  const PgError error = error_of([&] { connection.exec("SELECT pg_sleep(60)"); });
  EXPECT_TRUE(error.connection_lost());
  EXPECT_FALSE(connection.usable());
  EXPECT_TRUE(error_of([&] { connection.exec("SELECT 1"); }).connection_lost());
}

TEST_F(DatabaseConnection, ALostSessionIsTold) {
  Connection connection(options()), killer(options());
  killer.exec("SELECT pg_terminate_backend($1, 5000)", Parameters().integer(connection.process_id()));
  EXPECT_TRUE(error_of([&] { connection.exec("SELECT 1"); }).connection_lost());
  Connection second(options());
  second.send("SELECT 1", {});
  second.send("SELECT pg_sleep(30)", {});
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(100));
    killer.exec("SELECT pg_terminate_backend($1)", Parameters().integer(second.process_id()));
  });
  const PgError error = error_of([&] { second.collect(); });
  later.join();
  EXPECT_TRUE(error.connection_lost());
  EXPECT_EQ(error.sqlstate(), "57P01");
}

TEST_F(DatabaseConnection, RefusalsCarryTheSqlstate) {
  ConnectOptions wanted = options();
  wanted.conninfo += " dbname=does_not_exist password=s3cret";
  const PgError error = error_of([&] { Connection refused(wanted); });
  EXPECT_EQ(error.sqlstate(), "3D000");
  EXPECT_THAT(error.what(), Not(HasSubstr("s3cret")));
  EXPECT_THAT(error.what(), Not(HasSubstr("LOCATION")));
  wanted.conninfo = "host=/nowhere";
  EXPECT_EQ(error_of([&] { Connection refused(wanted); }).sqlstate(), "08001");
}

TEST_F(DatabaseConnection, HearsNotifications) {
  Connection listener(options()), speaker(options());
  listener.exec("LISTEN anabranch");
  EXPECT_FALSE(listener.notification(milliseconds(0)));
  speaker.exec("SELECT pg_notify('anabranch', 'create')");
  const auto notification = listener.notification(milliseconds(60'000));
  ASSERT_TRUE(notification);
  EXPECT_EQ(notification->channel, "anabranch");
  EXPECT_EQ(notification->payload, "create");
  EXPECT_EQ(notification->process_id, speaker.process_id());
}

TEST_F(DatabaseConnection, QuotesForTheServer) {
  Connection connection(options());
  EXPECT_EQ(error_of([&] { connection.exec(std::string("SELECT 1\0; DROP", 16)); }).sqlstate(), "22021");
  EXPECT_EQ(error_of([&] { Parameters().text(std::string_view("a\0b", 3)); }).sqlstate(), "22021");
  const std::string hostile = "a'b\\c\"d\n$(x)%s";
  EXPECT_EQ(connection.exec("SELECT " + connection.quote_literal(hostile)).text(0, 0), hostile);
  connection.exec("SET standard_conforming_strings = off");
  EXPECT_EQ(connection.exec("SELECT " + connection.quote_literal(hostile)).text(0, 0), hostile);
  EXPECT_NO_THROW(connection.exec("SELECT 1 AS " + Connection::quote_identifier(hostile)));
}

}  // namespace
}  // namespace anabranch
