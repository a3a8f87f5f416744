// Frames become transactions in pieces, whatever frames they are cut into; damage never becomes a transaction.
#include "sidecar/log/transaction.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::RowBuilder;
using test::StreamBuilder;
using ::testing::HasSubstr;

constexpr size_t value_bytes_max = 100;

// Reads all frames in one session.
std::vector<TransactionPiece> read_all(const std::vector<std::string>& frames, const WantedColumns& wanted = {},
                                       Lsn from = Lsn()) {
  TransactionReader reader(from, value_bytes_max);
  std::vector<TransactionPiece> pieces;
  for (const std::string& frame : frames) {
    // A copy of its own, so that a sanitizer sees a view that outlives it.
    const auto storage = std::make_shared<std::string>(frame);
    reader.read(*storage, storage, wanted, pieces);
  }
  return pieces;
}

LogError error_of(const std::vector<std::string>& frames, const WantedColumns& wanted = {}) {
  try {
    read_all(frames, wanted);
  } catch (const LogError& error) {
    return error;
  }
  ADD_FAILURE() << "no LogError";
  return LogError(LogError::Kind::gap, "none");
}

// One line a change, with what must not depend on frames.
std::vector<std::string> describe(const std::vector<TransactionPiece>& pieces) {
  std::vector<std::string> lines;
  bool within = false;
  uint64_t number = 0;
  for (const TransactionPiece& piece : pieces) {
    EXPECT_EQ(piece.first, !within);
    if (piece.first) number = 0;
    EXPECT_EQ(piece.first_number, number);
    if (piece.first) lines.push_back("begin " + std::to_string(piece.xid) + " " + piece.commit_lsn.to_string());
    for (const Change& change : piece.changes) {
      std::string line = std::to_string(static_cast<int>(change.kind)) + " ";
      if (change.relation != nullptr) line += change.relation->name;
      line += " " + std::to_string(static_cast<int>(change.before_kind)) + " [" + std::string(change.before) + "] [" +
              std::string(change.after) + "]";
      if (change.details)
        line += " " + std::string(change.details->prefix) + " " + std::string(change.details->content);
      lines.push_back(line);
      number += change.kind != Change::Kind::unselected;
    }
    if (piece.last()) lines.push_back("end " + piece.end_lsn->to_string());
    within = !piece.last();
  }
  return lines;
}

StreamBuilder sample() {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1);
  stream.insert(1, RowBuilder().integer(1, 1).integer(2, 10));
  stream.update(1, v1::BEFORE_KEY, RowBuilder().integer(1, 1), RowBuilder().integer(1, 2).integer(2, 10));
  stream.relation(2);
  stream.remove(2, v1::BEFORE_FULL, RowBuilder().integer(1, 3));
  stream.relation(1, 4, 1, v1::REPLICA_IDENTITY_DEFAULT, "renamed");
  stream.insert(1, RowBuilder().integer(4, 1));
  v1::Record message;
  message.mutable_message()->set_transactional(true);
  message.mutable_message()->set_prefix("p");
  message.mutable_message()->set_content("c");
  stream.add(message);
  stream.truncate({{1, 0}, {2, 22}});
  stream.commit(120);
  stream.begin(6, 130);
  stream.insert(2, RowBuilder().integer(1, 4));
  stream.commit(140);
  v1::Record alone;
  alone.mutable_message()->set_prefix("alone");
  alone.mutable_message()->set_lsn(150);
  stream.add_raw(alone);
  stream.begin(7, 160);
  stream.commit(170);
  return stream;
}

TEST(Transaction, DoesNotDependOnFrames) {
  const auto whole = read_all(sample().frames());
  ASSERT_EQ(whole.size(), 4u);
  EXPECT_EQ(whole[0].xid, 5u);
  EXPECT_EQ(whole[0].commit_time, 5'000'000);
  EXPECT_EQ(whole[0].changes.size(), 6u);
  EXPECT_EQ(whole[0].end_lsn, Lsn(120));
  EXPECT_EQ(whole[0].changes[0].relation->name, "t1");
  EXPECT_EQ(whole[0].changes[3].relation->name, "renamed");
  EXPECT_EQ(whole[0].changes[5].details->truncated[1].leaf, 22u);
  EXPECT_EQ(whole[0].changes[5].details->truncated[1].relation->name, "t2");
  EXPECT_EQ(whole[2].xid, 0u);
  EXPECT_EQ(whole[2].end_lsn, Lsn(150));
  EXPECT_TRUE(whole[3].changes.empty());
  for (size_t per_frame = 1; per_frame <= 12; ++per_frame)
    EXPECT_EQ(describe(read_all(sample().frames(per_frame))), describe(whole)) << per_frame;
}

TEST(Transaction, PiecesKeepWhatTheyPointTo) {
  std::vector<TransactionPiece> kept;
  {
    auto pieces = read_all(sample().frames(1));
    kept.push_back(std::move(pieces[1]));
  }
  ASSERT_EQ(kept[0].changes.size(), 1u);
  EXPECT_EQ(kept[0].changes[0].relation->name, "t1");
  EXPECT_EQ(kept[0].changes[0].before, std::string(RowBuilder().integer(1, 1)));
  EXPECT_GT(kept[0].bytes, kept[0].changes[0].after.size());
}

TEST(Transaction, DropsWhatEndsBeforeTheStart) {
  for (const auto& [from, first] : {std::pair{100, 5}, {101, 6}, {120, 6}, {130, 6}, {131, 0}, {140, 0}}) {
    const auto pieces = read_all(sample().frames(2), {}, Lsn(from));
    EXPECT_EQ(pieces[0].xid, static_cast<uint64_t>(first)) << from;
    EXPECT_EQ(pieces.back().xid, 7u);
  }
  EXPECT_EQ(read_all(sample().frames(), {}, Lsn(150)).size(), 1u);
  EXPECT_EQ(read_all(sample().frames(), {}, Lsn(149)).size(), 2u);
}

TEST(Transaction, TellsThatARelationHasLeft) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1);
  stream.insert(1, RowBuilder().integer(1, 1));
  v1::Record unselected;
  unselected.mutable_unselected()->set_relation(1);
  stream.add(unselected);
  unselected.mutable_unselected()->set_relation(9);  // of another session
  stream.add(unselected);
  stream.commit(120);
  const auto pieces = read_all(stream.frames());
  ASSERT_EQ(pieces[0].changes.size(), 2u);
  EXPECT_EQ(pieces[0].changes[1].kind, Change::Kind::unselected);
  EXPECT_EQ(pieces[0].changes[1].relation->name, "t1");

  stream.begin(6, 130);
  stream.insert(1, RowBuilder().integer(1, 1));
  stream.commit(140);
  EXPECT_EQ(error_of(stream.frames()).kind(), LogError::Kind::damaged);
}

TEST(Transaction, PutsLargeValuesTogether) {
  for (const bool wanted : {true, false}) {
    StreamBuilder stream;
    stream.begin(5, 100);
    stream.relation(1, 5);
    stream.fragment(1, 4, 0, 6, "old", true);
    stream.fragment(1, 4, 3, 6, "er!", true);
    stream.fragment(1, 2, 0, 5, "hel");
    stream.fragment(1, 2, 3, 5, "lo");
    stream.fragment(1, 5, 0, 2, "zz");
    v1::Record record;
    v1::Update& update = *record.mutable_update();
    update.set_relation(1);
    update.set_before_kind(v1::BEFORE_FULL);
    update.set_before(RowBuilder().integer(1, 1));
    update.set_after(RowBuilder().integer(1, 1).integer(3, 3));
    update.mutable_before_gaps()->add_fragmented(4);
    update.mutable_after_gaps()->add_fragmented(5);
    update.mutable_after_gaps()->add_fragmented(2);
    stream.add(record);
    stream.insert(1, RowBuilder().integer(1, 2));
    stream.commit(120);
    for (size_t per_frame : {1, 3, 100}) {
      StreamBuilder copy = stream;
      const auto pieces =
          read_all(copy.frames(per_frame), wanted ? WantedColumns{{1, {2, 4, 5}}} : WantedColumns{{2, {2, 4, 5}}});
      const Change* change = nullptr;
      for (const auto& piece : pieces)
        if (!piece.changes.empty() && change == nullptr) change = &piece.changes[0];
      ASSERT_NE(change, nullptr);
      if (wanted) {
        EXPECT_EQ(change->before, std::string(RowBuilder().integer(1, 1).text(4, "older!")));
        EXPECT_EQ(change->after, std::string(RowBuilder().integer(1, 1).text(2, "hello").integer(3, 3).text(5, "zz")));
        EXPECT_TRUE(change->details->after_gaps.empty());
      } else {
        EXPECT_EQ(change->after, std::string(RowBuilder().integer(1, 1).integer(3, 3)));
        ASSERT_EQ(change->details->after_gaps.size(), 2u);
        EXPECT_EQ(change->details->after_gaps[0].number, 5u);
        EXPECT_EQ(change->details->after_gaps[1].number, 2u);
        EXPECT_EQ(change->details->before_gaps[0].number, 4u);
      }
    }
  }
}

TEST(Transaction, BoundsLargeValues) {
  const auto stream_of = [](size_t first, size_t second) {
    StreamBuilder stream;
    stream.begin(5, 100);
    stream.relation(1, 3);
    stream.fragment(1, 1, 0, first, std::string(first, 'a'));
    stream.fragment(1, 2, 0, second, std::string(second, 'b'));
    v1::Record record;
    record.mutable_insert()->set_relation(1);
    record.mutable_insert()->mutable_after_gaps()->add_fragmented(1);
    record.mutable_insert()->mutable_after_gaps()->add_fragmented(2);
    stream.add(record);
    stream.commit(120);
    return stream.frames();
  };
  const WantedColumns wanted{{1, {1, 2}}};
  const auto fits = read_all(stream_of(value_bytes_max - 10, 10), wanted);
  EXPECT_TRUE(fits[0].changes[0].details->after_gaps.empty());
  const auto over = read_all(stream_of(value_bytes_max - 10, 11), wanted);
  ASSERT_EQ(over[0].changes[0].details->after_gaps.size(), 1u);
  EXPECT_EQ(over[0].changes[0].details->after_gaps[0].number, 2u);
  EXPECT_THAT(over[0].changes[0].details->after_gaps[0].reason, HasSubstr("larger than the 100 bytes"));
}

TEST(Transaction, TellsWhatCouldNotBeSent) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1, 3);
  v1::Record record;
  record.mutable_insert()->set_relation(1);
  v1::Omitted& omitted = *record.mutable_insert()->mutable_after_gaps()->add_omitted();
  omitted.set_number(2);
  omitted.set_sqlstate("54000");
  omitted.set_reason("string too long");
  stream.add(record);
  stream.commit(120);
  const auto pieces = read_all(stream.frames());
  const Gap& gap = pieces[0].changes[0].details->after_gaps.at(0);
  EXPECT_EQ(gap.number, 2u);
  EXPECT_EQ(gap.sqlstate, "54000");
  EXPECT_EQ(gap.reason, "string too long");
}

TEST(Transaction, RefusesWhatBreaksTheGrammar) {
  const std::vector<std::pair<const char*, std::function<void(StreamBuilder&)>>> faults = {
      {"begins within", [](StreamBuilder& s) { s.begin(6, 110); }},
      {"not described", [](StreamBuilder& s) { s.insert(3, ""); }},
      {"changes of the transaction",
       [](StreamBuilder& s) {
         v1::Record r;
         r.mutable_insert()->set_relation(1);
         s.add(r);
         v1::Record end;
         end.mutable_commit()->set_end_lsn(120);
         end.mutable_commit()->set_changes(7);
         StreamBuilder again;
         again.begin(5, 100);
         again.relation(1);
         again.add(r);
         Crc32c crc;
         for (const std::string& f : again.frames(1)) {
           FrameReader reader(f);
           crc.add(reader.next()->payload);
         }
         end.mutable_commit()->set_crc(crc.value());
         s.add_raw(end);
       }},
      {"checksum",
       [](StreamBuilder& s) {
         v1::Record r;
         r.mutable_insert()->set_relation(1);
         s.add_raw(r);
         s.commit(120);
       }},
      {"ends before", [](StreamBuilder& s) { s.commit(100); }},
      {"without the change",
       [](StreamBuilder& s) {
         s.fragment(1, 1, 0, 2, "ab");
         s.commit(120);
       }},
      {"does not start at its start", [](StreamBuilder& s) { s.fragment(1, 1, 1, 2, "b"); }},
      {"do not fit",
       [](StreamBuilder& s) {
         s.fragment(1, 1, 0, 2, "a");
         s.fragment(1, 2, 1, 2, "b");
       }},
      {"do not fit", [](StreamBuilder& s) { s.fragment(1, 1, 0, 2, "abc"); }},
      {"do not fit", [](StreamBuilder& s) { s.fragment(1, 1, 0, 0, ""); }},
      {"does not name",
       [](StreamBuilder& s) {
         s.fragment(1, 1, 0, 1, "a");
         s.insert(1, "");
       }},
      {"is not whole",
       [](StreamBuilder& s) {
         s.fragment(1, 1, 0, 2, "a");
         v1::Record r;
         r.mutable_insert()->set_relation(1);
         r.mutable_insert()->mutable_after_gaps()->add_fragmented(1);
         s.add(r);
       }},
      {"is not whole",
       [](StreamBuilder& s) {
         v1::Record r;
         r.mutable_insert()->set_relation(1);
         r.mutable_insert()->mutable_after_gaps()->add_fragmented(1);
         s.add(r);
       }},
      {"wrong side",
       [](StreamBuilder& s) {
         v1::Record r;
         r.mutable_message()->set_lsn(105);
         s.add(r);
       }},
      {"truncate of nothing", [](StreamBuilder& s) { s.truncate({}); }},
  };
  for (const auto& [words, fault] : faults) {
    for (size_t per_frame : {1, 100}) {
      StreamBuilder stream;
      stream.begin(5, 100);
      stream.relation(1);
      fault(stream);
      const LogError error = error_of(stream.frames(per_frame));
      EXPECT_EQ(error.kind(), LogError::Kind::damaged);
      EXPECT_THAT(error.what(), HasSubstr(words));
      EXPECT_THAT(error.what(), HasSubstr("transaction 5, whose commit is at 0/64"));
    }
  }
  StreamBuilder outside;
  outside.relation(1);
  EXPECT_THAT(error_of(outside.frames()).what(), HasSubstr("outside of a transaction"));
}

// Whatever is done to one byte, a transaction comes out as it was or not at all. (Commit itself is not under its
// checksum: its last field is the checksum, and what arrives wrong there is the network's to find.)
TEST(Transaction, NoDamagedByteBecomesATransaction) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1);
  stream.fragment(1, 2, 0, 5, "hel");
  stream.fragment(1, 2, 3, 5, "lo");
  v1::Record record;
  record.mutable_insert()->set_relation(1);
  record.mutable_insert()->set_after(RowBuilder().integer(1, 1));
  record.mutable_insert()->mutable_after_gaps()->add_fragmented(2);
  stream.add(record);
  stream.update(1, v1::BEFORE_FULL, RowBuilder().integer(1, 1), RowBuilder().integer(1, 2), {3});
  const size_t covered = StreamBuilder(stream).frame().size();
  stream.commit(120);
  const std::string frame = stream.frame();
  const WantedColumns wanted{{1, {2}}};
  const auto good = describe(read_all({frame}, wanted));
  size_t refused = 0;
  for (size_t at = 0; at < covered; ++at)
    for (int change = 1; change < 256; change += change < 8 ? 1 : 31) {
      std::string damaged = frame;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      try {
        std::vector<TransactionPiece> complete;
        for (auto& piece : read_all({damaged}, wanted))
          if (piece.last()) complete.push_back(std::move(piece));
        if (!complete.empty()) {
          EXPECT_EQ(describe(complete), good) << at << " " << change;
        }
      } catch (const LogError&) {
        ++refused;
      }
    }
  EXPECT_GT(refused, 0u);
}

TEST(Transaction, NoFrameThatBreaksOffBecomesATransaction) {
  const std::string frame = sample().frame();
  for (size_t size = 0; size < frame.size(); ++size) {
    try {
      for (const auto& piece : read_all({frame.substr(0, size)})) EXPECT_LE(piece.changes.size(), 6u);
    } catch (const LogError& error) {
      EXPECT_EQ(error.kind(), LogError::Kind::damaged);
    }
  }
}

TEST(Transaction, KnowsItsEndFromTheFirstPieceOn) {
  StreamBuilder stream;
  stream.begin(5, 100, 1, 110);
  stream.relation(1);
  stream.insert(1, RowBuilder().integer(1, 1));
  stream.insert(1, RowBuilder().integer(1, 2));
  stream.commit(110);
  const auto pieces = read_all(stream.frames(3));
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_FALSE(pieces[0].last());
  EXPECT_EQ(pieces[0].unit_end, Lsn(110));
  EXPECT_EQ(pieces[1].unit_end, Lsn(110));
}

TEST(Transaction, RefusesOneThatEndsElsewhereThanItSaid) {
  StreamBuilder stream;
  stream.begin(5, 100, 1, 110);
  stream.commit(111);
  EXPECT_THAT(error_of(stream.frames()).what(), HasSubstr("ends elsewhere"));
}

TEST(Transaction, KeepsEveryLargeValueForThoseWhoWantAll) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1);
  stream.fragment(1, 2, 0, 5, "abc");
  stream.fragment(1, 2, 3, 5, "de");
  v1::Record record;
  record.mutable_insert()->set_relation(1);
  record.mutable_insert()->set_after(RowBuilder().integer(1, 1));
  record.mutable_insert()->mutable_after_gaps()->add_fragmented(2);
  stream.add(record);
  stream.commit(110);
  const auto pieces = read_all(stream.frames(), WantedColumns{{0, {}}});
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].changes[0].after, std::string(RowBuilder().integer(1, 1)) +
                                            "\x12\x05"
                                            "abcde");
}

TEST(Transaction, SaysWhatToDoAboutANewerFormat) {
  StreamBuilder stream;
  stream.begin(5, 100, 2);
  const LogError error = error_of(stream.frames());
  EXPECT_EQ(error.kind(), LogError::Kind::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("install the same version"));
}

}  // namespace
}  // namespace anabranch
