// The slot's log against a real server and the real decoder.
#include "sidecar/log/slot_log.hpp"

#include <thread>

#include <gmock/gmock.h>

#include "test/unit/log/stream_builder.hpp"
#include "test/unit/pg/database.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class DatabaseSlotLog : public test::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    sql_ = std::make_unique<Connection>(options());
    schema_ = unique("slot_log");
    slot_ = unique("slot");
    sql_->exec("CREATE SCHEMA " + schema_ + "; SET search_path = " + schema_ + "; SET synchronous_commit = on");
    sql_->exec("CREATE TABLE t (id int PRIMARY KEY, n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL");
    sql_->exec("CREATE PUBLICATION " + schema_ + " FOR TABLE t");
    start_ = sql_->exec("SELECT lsn FROM pg_create_logical_replication_slot('" + slot_ + "', 'anabranch_decoder')")
                 .lsn(0, 0);
    options_.connect = options();
    options_.slot = slot_;
    options_.publication = schema_;
    options_.messages = false;  // other tests in the same database emit some
    options_.status_interval = milliseconds(50);
  }
  void TearDown() override {
    if (!sql_) return;
    log_.reset();
    sql_ = std::make_unique<Connection>(options());
    for (int i = 0;
         i < 600 &&
         sql_->exec("SELECT 1 FROM pg_replication_slots WHERE active AND slot_name = '" + slot_ + "'").rows() > 0;
         ++i)
      std::this_thread::sleep_for(milliseconds(100));
    sql_->exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '" + slot_ +
               "'");
    sql_->exec("DROP PUBLICATION IF EXISTS " + schema_ + "; DROP SCHEMA " + schema_ + " CASCADE");
  }

  void open(Lsn from) {
    log_ = std::make_unique<SlotLog>(options_);
    log_->start(from);
  }
  // The next piece, within a minute: many of these tests may share a core.
  TransactionPiece piece() {
    for (int i = 0; i < 600; ++i)
      if (auto piece = log_->next(milliseconds(100))) return std::move(*piece);
    throw std::runtime_error("no piece within a minute");
  }
  // Pieces up to the end of a transaction, checked to be one.
  struct Whole {
    uint64_t xid = 0, changes = 0, pieces = 0;
    Lsn end;
  };
  Whole transaction() {
    Whole whole;
    for (bool last = false; !last; ++whole.pieces) {
      const TransactionPiece next = piece();
      EXPECT_EQ(next.first, whole.pieces == 0);
      EXPECT_EQ(next.first_number, whole.changes);
      whole.xid = next.xid;
      whole.changes += next.changes.size();
      last = next.last();
      if (last) whole.end = *next.end_lsn;
    }
    return whole;
  }
  Lsn confirmed() {
    return sql_->exec("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + slot_ + "'")
        .lsn(0, 0);
  }
  LogError refused(Lsn from) {
    try {
      open(from);
    } catch (const LogError& error) {
      return error;
    }
    ADD_FAILURE() << "not refused";
    return LogError(LogError::Kind::damaged, "none");
  }

  std::unique_ptr<Connection> sql_;
  std::string schema_, slot_;
  Lsn start_;
  SlotLogOptions options_;
  std::unique_ptr<SlotLog> log_;
};

TEST_F(DatabaseSlotLog, HandsOutTransactionsInOrder) {
  open(start_);
  EXPECT_EQ(log_->read_position(), start_);
  sql_->exec("BEGIN; INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'b'); UPDATE t SET n = 11 WHERE id = 1; COMMIT");
  const auto xid =
      static_cast<uint64_t>(sql_->exec("BEGIN; DELETE FROM t WHERE id = 2; SELECT pg_current_xact_id()").integer(0, 0));
  sql_->exec("COMMIT");
  const TransactionPiece first = piece();
  EXPECT_TRUE(first.first && first.last());
  ASSERT_EQ(first.changes.size(), 3u);
  EXPECT_EQ(first.changes[0].kind, Change::Kind::insert);
  EXPECT_EQ(first.changes[0].relation->qualified_name(), schema_ + ".t");
  EXPECT_EQ(first.changes[2].kind, Change::Kind::update);
  EXPECT_LT(first.commit_lsn, *first.end_lsn);
  EXPECT_EQ(log_->read_position(), *first.end_lsn);
  const TransactionPiece second = piece();
  EXPECT_EQ(second.xid, xid);
  EXPECT_EQ(second.changes.at(0).kind, Change::Kind::remove);
  EXPECT_EQ(second.changes.at(0).before_kind, BeforeKind::key);
  EXPECT_GE(second.commit_lsn, *first.end_lsn);
}

TEST_F(DatabaseSlotLog, GoesOnAfterWhatWasRecorded) {
  sql_->exec("INSERT INTO t VALUES (1, 1, 'a')");
  sql_->exec("INSERT INTO t VALUES (2, 2, 'b')");
  open(start_);
  const Whole first = transaction();
  const Whole second = transaction();
  log_->stop();
  log_->start(first.end);  // nothing was acknowledged: the server sends both, or what comes after
  EXPECT_EQ(transaction().xid, second.xid);
  log_->start(second.end);
  EXPECT_FALSE(log_->next(milliseconds(200)));
  sql_->exec("INSERT INTO t VALUES (3, 3, 'c')");
  EXPECT_GT(transaction().xid, second.xid);
}

TEST_F(DatabaseSlotLog, AcknowledgesOnlyWhatItIsTold) {
  open(start_);
  sql_->exec("INSERT INTO t VALUES (1, 1, 'a')");
  const Whole first = transaction();
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_LE(confirmed(), start_);
  log_->acknowledge(first.end);
  log_->acknowledge(Lsn(1));  // never falls
  for (int i = 0; i < 1'200 && confirmed() < first.end; ++i) std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(confirmed(), first.end);
}

TEST_F(DatabaseSlotLog, IdlePositionsMove) {
  open(start_);
  sql_->exec("CREATE TABLE other (a int); INSERT INTO other SELECT generate_series(1, 1000)");
  const Lsn target = sql_->exec("SELECT pg_current_wal_flush_lsn()").lsn(0, 0);
  sql_->exec("SELECT pg_logical_emit_message(false, 'anabranch', 'wake')");
  sql_->exec("CHECKPOINT");
  for (int i = 0; i < 1'200 && log_->read_position() < target; ++i) log_->next(milliseconds(50));
  EXPECT_GE(log_->read_position(), target);
}

TEST_F(DatabaseSlotLog, StreamsALargeTransactionThroughASmallQueue) {
  options_.queue_bytes_max = 1 << 20;
  open(start_);
  sql_->exec("INSERT INTO t SELECT i, i, repeat('x', 100) FROM generate_series(1, 200000) i");
  std::this_thread::sleep_for(milliseconds(500));  // the reader fills the queue and waits
  EXPECT_LT(log_->queued_bytes(), size_t{2} << 20);
  const Whole whole = transaction();
  EXPECT_EQ(whole.changes, 200'000u);
  EXPECT_GT(whole.pieces, 20u);
}

TEST_F(DatabaseSlotLog, AnswersWhileTheApplierIsBusy) {
  options_.queue_bytes_max = 1 << 20;
  options_.connect.conninfo += " options='-c wal_sender_timeout=3s'";
  open(start_);
  sql_->exec("INSERT INTO t SELECT i, i, repeat('x', 100) FROM generate_series(1, 100000) i");
  std::this_thread::sleep_for(milliseconds(5'000));
  EXPECT_EQ(transaction().changes, 100'000u);
}

TEST_F(DatabaseSlotLog, PutsTogetherLargeValuesThatSomebodyWants) {
  const size_t size = 20 << 20;
  sql_->exec("INSERT INTO t SELECT 1, 1, repeat('x', " + std::to_string(size) + ")");
  const auto relation = static_cast<uint32_t>(sql_->exec("SELECT 't'::regclass::oid").integer(0, 0));
  const auto row_of = [&](const WantedColumns& wanted) {
    open(start_);
    log_->stop();
    log_->want(wanted);
    log_->start(start_);
    std::optional<std::pair<size_t, size_t>> found;  // bytes of the row, gaps
    for (bool last = false; !last;) {
      const TransactionPiece next = piece();
      for (const Change& change : next.changes)
        found = {change.after.size(), change.details ? change.details->after_gaps.size() : 0};
      last = next.last();
    }
    return found.value();
  };
  const auto kept = row_of({{relation, {3}}});
  EXPECT_GT(kept.first, size);
  EXPECT_EQ(kept.second, 0u);
  const auto skipped = row_of({{relation, {1}}});
  EXPECT_LT(skipped.first, 100u);
  EXPECT_EQ(skipped.second, 1u);
}

TEST_F(DatabaseSlotLog, ReadsPartitionsAsTheirRoot) {
  sql_->exec(
      "CREATE TABLE root (a int, b text, c int) PARTITION BY LIST (a); CREATE TABLE leaf (c int, gone int, b text, a "
      "int); "
      "ALTER TABLE leaf DROP gone; ALTER TABLE root ATTACH PARTITION leaf FOR VALUES IN (1); "
      "ALTER PUBLICATION " +
      schema_ +
      " ADD TABLE root; "
      "ALTER PUBLICATION " +
      schema_ + " SET (publish_via_partition_root = true)");
  open(start_);
  sql_->exec("INSERT INTO root VALUES (1, 'b', 3); TRUNCATE leaf; TRUNCATE root");
  const TransactionPiece next = piece();
  ASSERT_EQ(next.changes.size(), 3u);
  EXPECT_EQ(next.changes[0].relation->name, "root");
  std::string expected(test::RowBuilder().integer(1, 1).text(2, "b").integer(3, 3));
  EXPECT_EQ(next.changes[0].after, expected);
  const auto oid = [&](const std::string& name) {
    return static_cast<uint32_t>(sql_->exec("SELECT '" + name + "'::regclass::oid").integer(0, 0));
  };
  EXPECT_EQ(next.changes[1].details->truncated.at(0).relation->oid, oid("root"));
  EXPECT_EQ(next.changes[1].details->truncated.at(0).leaf, oid("leaf"));
  EXPECT_EQ(next.changes[2].details->truncated.at(0).leaf, 0u);
}

TEST_F(DatabaseSlotLog, TellsThatTheServerHasGone) {
  open(start_);
  sql_->exec("INSERT INTO t VALUES (1, 1, 'a')");
  EXPECT_EQ(transaction().changes, 1u);
  sql_->exec("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '" + slot_ + "'");
  try {
    for (int i = 0; i < 600; ++i) log_->next(milliseconds(100));
    ADD_FAILURE() << "no error";
  } catch (const PgError& error) {
    EXPECT_TRUE(error.connection_lost());
  }
  sql_->exec("INSERT INTO t VALUES (2, 2, 'b')");
  for (int attempt = 0;; ++attempt) {
    try {
      log_->start(start_);
      break;
    } catch (const PgError& error) {  // the old walsender may still hold the slot
      ASSERT_LT(attempt, 600) << error.what();
      std::this_thread::sleep_for(milliseconds(100));
    }
  }
  EXPECT_EQ(transaction().changes, 1u);
  EXPECT_EQ(transaction().changes, 1u);
}

TEST_F(DatabaseSlotLog, RefusesAGap) {
  sql_->exec("INSERT INTO t VALUES (1, 1, 'a')");
  sql_->exec("SELECT pg_replication_slot_advance('" + slot_ + "', pg_current_wal_flush_lsn())");
  const LogError error = refused(start_);
  EXPECT_EQ(error.kind(), LogError::Kind::gap);
  EXPECT_THAT(error.what(), HasSubstr(start_.to_string()));
  EXPECT_NO_THROW(open(confirmed()));
}

TEST_F(DatabaseSlotLog, RefusesWhatIsNotItsSlot) {
  options_.system_identifier = "1";
  EXPECT_EQ(refused(start_).kind(), LogError::Kind::other_system);
  options_.system_identifier.clear();
  EXPECT_EQ(refused(Lsn(uint64_t{1} << 60)).kind(), LogError::Kind::other_system);
  options_.slot = "no_such_slot";
  EXPECT_EQ(refused(start_).kind(), LogError::Kind::slot_missing);
  options_.slot = unique("foreign");
  sql_->exec("SELECT pg_create_logical_replication_slot('" + options_.slot + "', 'pgoutput')");
  EXPECT_EQ(refused(start_).kind(), LogError::Kind::slot_missing);
  sql_->exec("SELECT pg_drop_replication_slot('" + options_.slot + "')");
}

TEST_F(DatabaseSlotLog, ASlotInUseIsAPgError) {
  open(start_);
  SlotLog second(options_);
  try {
    second.start(start_);
    ADD_FAILURE() << "two readers of one slot";
  } catch (const PgError& error) {
    EXPECT_EQ(error.sqlstate(), "55006");
  }
}

TEST_F(DatabaseSlotLog, StopsWhileNothingComes) {
  options_.status_interval = std::chrono::hours(1);
  open(start_);
  log_->stop();
  log_->stop();
}

}  // namespace
}  // namespace anabranch
