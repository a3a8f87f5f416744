#include "sidecar/apply/pending.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

constexpr std::size_t many = 1'000'000;

// A piece of transaction `xid` with `rows` changes; `end` 0: more follow.
TransactionPiece piece(uint64_t xid, std::size_t rows, bool first, uint64_t end) {
  TransactionPiece piece;
  piece.xid = xid;
  piece.first = first;
  if (end != 0) piece.end_lsn = Lsn(end);
  piece.changes.resize(rows);
  piece.bytes = 100 * rows;
  return piece;
}

TransactionPiece whole(uint64_t xid, std::size_t rows, uint64_t end) {
  return piece(xid, rows, true, end);
}

TEST(Pending, TakesWhatTheSnapshotShows) {
  Pending pending;
  pending.push(whole(10, 1, 100));
  pending.push(whole(11, 2, 200));
  pending.push(whole(12, 3, 300));
  const Pending::Cut cut = pending.cut(Snapshot::parse("13:13:"), many, false);
  EXPECT_EQ(cut.pieces, 3u);
  EXPECT_EQ(cut.transactions, 3u);
  EXPECT_EQ(cut.rows, 6u);
  EXPECT_EQ(cut.hidden_xid, 0u);
}

TEST(Pending, CutsBeforeTheFirstHiddenOne) {
  Pending pending;
  pending.push(whole(10, 1, 100));
  pending.push(whole(11, 2, 200));
  pending.push(whole(12, 3, 300));
  const Pending::Cut cut = pending.cut(Snapshot::parse("11:13:11"), many, false);
  EXPECT_EQ(cut.pieces, 1u);
  EXPECT_EQ(cut.hidden_xid, 11u);
}

TEST(Pending, TakesNothingWhenTheFirstIsHidden) {
  Pending pending;
  pending.push(whole(11, 1, 100));
  pending.push(whole(10, 1, 200));
  const Pending::Cut cut = pending.cut(Snapshot::parse("11:12:11"), many, true);
  EXPECT_EQ(cut.pieces, 0u);
  EXPECT_FALSE(cut.open);
  EXPECT_EQ(cut.hidden_xid, 11u);
}

TEST(Pending, NeverTearsATransaction) {
  Pending pending;
  pending.push(piece(10, 5, true, 0));
  pending.push(piece(10, 5, false, 100));
  pending.push(piece(11, 5, true, 0));
  const Pending::Cut cut = pending.cut(Snapshot::parse("20:20:"), many, true);
  EXPECT_EQ(cut.pieces, 2u);
  EXPECT_EQ(cut.rows, 10u);
  EXPECT_FALSE(cut.open);
}

TEST(Pending, StopsAtTheEndOfATransactionOnceItHasEnoughRows) {
  Pending pending;
  for (uint64_t i = 0; i < 10; ++i) pending.push(whole(10 + i, 3, 100 * (i + 1)));
  const Pending::Cut cut = pending.cut(Snapshot::parse("99:99:"), 7, false);
  EXPECT_EQ(cut.transactions, 3u);
  EXPECT_EQ(cut.rows, 9u);
}

TEST(Pending, TakesALargeFirstTransactionWhole) {
  Pending pending;
  pending.push(piece(10, 50, true, 0));
  pending.push(piece(10, 50, false, 100));
  EXPECT_EQ(pending.cut(Snapshot::parse("99:99:"), 7, false).pieces, 2u);
}

TEST(Pending, OpensATransactionWhoseEndIsNotThereOnlyWhenAsked) {
  Pending pending;
  pending.push(piece(10, 50, true, 0));
  EXPECT_FALSE(pending.whole());
  EXPECT_EQ(pending.cut(Snapshot::parse("99:99:"), 7, false).pieces, 0u);
  const Pending::Cut cut = pending.cut(Snapshot::parse("99:99:"), 7, true);
  EXPECT_EQ(cut.pieces, 1u);
  EXPECT_TRUE(cut.open);
}

TEST(Pending, ShowsWhatHasNoTransaction) {
  Pending pending;
  pending.push(whole(0, 0, 50));
  EXPECT_EQ(pending.cut(Snapshot::parse("10:10:"), many, false).transactions, 1u);
}

TEST(Pending, CountsWhatComesAndGoes) {
  Pending pending;
  pending.push(piece(10, 5, true, 0));
  pending.push(piece(10, 2, false, 100));
  EXPECT_EQ(pending.rows(), 7u);
  EXPECT_EQ(pending.bytes(), 700u);
  EXPECT_TRUE(pending.whole());
  EXPECT_EQ(pending.pop().changes.size(), 5u);
  EXPECT_EQ(pending.pop().changes.size(), 2u);
  EXPECT_TRUE(pending.empty());
  EXPECT_EQ(pending.rows(), 0u);
  EXPECT_EQ(pending.bytes(), 0u);
  EXPECT_FALSE(pending.whole());
}

}  // namespace
}  // namespace anabranch
