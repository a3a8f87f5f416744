// What is kept of a message that is no row of its stream.
#include "sidecar/log/dead_letter.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

Change message(std::string_view prefix, std::string_view content, uint64_t rejected) {
  Change change;
  change.kind = Change::Kind::message;
  change.details = std::make_unique<ChangeDetails>();
  change.details->prefix = prefix;
  change.details->content = content;
  change.details->rejected = rejected;
  if (rejected > 0) {
    change.details->sqlstate = "22P02";
    change.details->reason = "no number";
  }
  return change;
}

TEST(DeadLetterTest, HoldsWhatIsNeededToSendItAgain) {
  const DeadLetter letter = dead_letter_of(*message("Order s:a:b", "{}", 3).details, Lsn(0x200));
  EXPECT_EQ(letter.lsn, Lsn(0x200));
  EXPECT_EQ(letter.number, 3U);
  EXPECT_EQ(letter.stream, "anabranch_stream.\"Order s\"");
  EXPECT_EQ(letter.key, "a:b");
  EXPECT_EQ(letter.reason, "no number (22P02)");
  EXPECT_EQ(letter.content, "{}");
  EXPECT_EQ(letter.bytes, 2U);
}

TEST(DeadLetterTest, TellsTheSizeOfAContentThatNeverCame) {
  const Change change = message("orders", "", 1);
  change.details->omitted_bytes = 17'000'000;
  EXPECT_EQ(dead_letter_of(*change.details, Lsn(1)).bytes, 17'000'000U);
  EXPECT_EQ(dead_letter_of(*change.details, Lsn(1)).key, "");
}

TEST(DeadLetterTest, KeepsTheBeginningOfALongKey) {
  std::string prefix = "orders:x";
  for (int i = 0; i < 6'000; ++i) prefix += "\u00e9";
  const Change change = message(prefix, "", 1);
  EXPECT_EQ(dead_letter_of(*change.details, Lsn(1)).key, prefix.substr(7, 8'191)) << "at a character's end";
  EXPECT_EQ(dead_letter_of(*change.details, Lsn(1)).reason,
            "no number (22P02); of a key of 12001 bytes the beginning is kept");
  change.details->prefix_bytes = 900'007;
  EXPECT_EQ(dead_letter_of(*change.details, Lsn(1)).reason,
            "no number (22P02); of a key of 900000 bytes the beginning is kept");
}

TEST(DeadLetterTest, TakesTheRejectedOfAPieceAlone) {
  TransactionPiece piece;
  piece.unit_end = Lsn(0x300);
  piece.changes.emplace_back();
  piece.changes.push_back(message("orders", "x", 1));
  piece.changes.push_back(message("orders", "{}", 0));
  piece.changes.push_back(message("orders", "y", 2));
  EXPECT_TRUE(dead_letters_of(piece).empty()) << "not looked for where the reader has seen none";
  piece.has_rejected = true;
  const auto letters = dead_letters_of(piece);
  ASSERT_EQ(letters.size(), 2U);
  EXPECT_EQ(letters[1].content, "y");
  EXPECT_EQ(letters[1].lsn, Lsn(0x300));
}

}  // namespace
}  // namespace anabranch
