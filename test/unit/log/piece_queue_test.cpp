#include "sidecar/log/piece_queue.hpp"

#include <random>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using std::chrono::milliseconds;

TransactionPiece piece_of(uint64_t xid, size_t bytes, std::optional<Lsn> end = std::nullopt) {
  TransactionPiece piece;
  piece.xid = xid;
  piece.bytes = bytes;
  piece.end_lsn = end;
  return piece;
}

void push(PieceQueue& queue, TransactionPiece piece) {
  std::vector<TransactionPiece> pieces;
  pieces.push_back(std::move(piece));
  queue.push(pieces);
  EXPECT_TRUE(pieces.empty());
}

TEST(PieceQueue, PositionFollowsWhatWasHandedOut) {
  PieceQueue queue(100);
  queue.open(Lsn(10));
  EXPECT_EQ(queue.position(), Lsn(10));
  queue.push_position(Lsn(15));  // nothing is before it
  EXPECT_EQ(queue.position(), Lsn(15));
  push(queue, piece_of(1, 10));
  push(queue, piece_of(1, 10, Lsn(20)));
  queue.push_position(Lsn(25));
  queue.push_position(Lsn(30));
  EXPECT_EQ(queue.position(), Lsn(15));
  EXPECT_EQ(queue.pop(milliseconds(0))->xid, 1u);
  EXPECT_EQ(queue.position(), Lsn(15));  // within the transaction
  EXPECT_EQ(queue.pop(milliseconds(0))->end_lsn, Lsn(20));
  EXPECT_EQ(queue.position(), Lsn(20));
  EXPECT_FALSE(queue.pop(milliseconds(1)));
  EXPECT_EQ(queue.position(), Lsn(30));
  queue.push_position(Lsn(5));
  EXPECT_EQ(queue.position(), Lsn(30));
}

TEST(PieceQueue, IsBoundedInBytes) {
  PieceQueue queue(100);
  queue.open(Lsn());
  EXPECT_TRUE(queue.wait_for_room(milliseconds(0)));
  push(queue, piece_of(1, 99));
  EXPECT_TRUE(queue.wait_for_room(milliseconds(0)));
  push(queue, piece_of(2, 1000));
  EXPECT_FALSE(queue.wait_for_room(milliseconds(5)));
  EXPECT_EQ(queue.bytes(), 1099u);
  std::thread reader([&] {
    std::this_thread::sleep_for(milliseconds(20));
    queue.pop(milliseconds(0));
    queue.pop(milliseconds(0));
  });
  EXPECT_TRUE(queue.wait_for_room(milliseconds(60'000)));
  reader.join();
  push(queue, piece_of(3, 1000));
  std::thread closer([&] { queue.close(); });
  EXPECT_FALSE(queue.wait_for_room(milliseconds(60'000)));
  closer.join();
}

TEST(PieceQueue, FailureComesLastAndStays) {
  PieceQueue queue(100);
  queue.open(Lsn());
  push(queue, piece_of(1, 1, Lsn(5)));
  queue.fail(std::make_exception_ptr(std::runtime_error("gone")));
  EXPECT_EQ(queue.pop(milliseconds(0))->xid, 1u);
  EXPECT_THROW(queue.pop(milliseconds(0)), std::runtime_error);
  EXPECT_THROW(queue.pop(milliseconds(0)), std::runtime_error);
  queue.open(Lsn(3));
  EXPECT_FALSE(queue.pop(milliseconds(0)));
  EXPECT_EQ(queue.position(), Lsn(3));
}

TEST(PieceQueue, KeepsOrderBetweenThreads) {
  PieceQueue queue(1000);
  queue.open(Lsn());
  constexpr uint64_t count = 20'000;
  std::thread writer([&] {
    std::mt19937 random(1);
    std::vector<TransactionPiece> pieces;
    for (uint64_t xid = 1; xid <= count;) {
      if (!queue.wait_for_room(milliseconds(10))) continue;
      for (uint64_t i = random() % 4 + 1; i > 0 && xid <= count; --i, ++xid)
        pieces.push_back(piece_of(xid, random() % 50, Lsn(xid)));
      queue.push(pieces);
      if (random() % 8 == 0) queue.push_position(Lsn(xid - 1));
    }
    queue.fail(std::make_exception_ptr(std::runtime_error("end")));
  });
  uint64_t expected = 1;
  try {
    for (;;) {
      const auto piece = queue.pop(milliseconds(1));
      if (!piece) continue;
      EXPECT_EQ(piece->xid, expected++);
      EXPECT_EQ(queue.position(), Lsn(piece->xid));
    }
  } catch (const std::runtime_error&) {
  }
  writer.join();
  EXPECT_EQ(expected, count + 1);
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace anabranch
