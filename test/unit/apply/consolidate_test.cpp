#include "sidecar/apply/consolidate.hpp"

#include <algorithm>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "extension/delta.pb.h"
#include "sidecar/log/transaction.hpp"
#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::RowBuilder;
using test::StreamBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t copy_oid = 900;

RowBuilder row(int64_t c1) {
  return RowBuilder().integer(1, c1);
}
RowBuilder row(int64_t c1, int64_t c2) {
  return row(c1).integer(2, c2);
}
RowBuilder row(int64_t c1, int64_t c2, int64_t c3) {
  return row(c1, c2).integer(3, c3);
}

CopyPlan plan_of(std::vector<uint32_t> columns, std::vector<uint32_t> key = {}, bool rows_class = false) {
  CopyPlan plan;
  plan.copy = copy_oid;
  plan.rows_class = rows_class;
  plan.sources = {{1, 1, std::move(columns), std::move(key), false, {}}};
  return plan;
}

std::vector<TransactionPiece> pieces_of(StreamBuilder& stream) {
  TransactionReader reader(Lsn(), 1'000);
  std::vector<TransactionPiece> pieces;
  for (const std::string& frame : stream.frames()) {
    const auto storage = std::make_shared<std::string>(frame);
    reader.read(*storage, storage, {}, pieces);
  }
  return pieces;
}

Consolidated consolidate(const std::vector<CopyPlan>& plans, StreamBuilder& stream) {
  Consolidator consolidator;
  consolidator.plan(plans);
  for (const auto& piece : pieces_of(stream)) consolidator.add(piece);
  return consolidator.take();
}

// One transaction over relation 1 (three columns), built by `body`.
StreamBuilder transaction(auto body, uint32_t key_columns = 1,
                          v1::ReplicaIdentity identity = v1::REPLICA_IDENTITY_DEFAULT) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1, 3, key_columns, identity);
  body(stream);
  stream.commit(120);
  return stream;
}

// "+1 1=.. 2=.." per row, sorted.
std::vector<std::string> rows_of(const Consolidated& result) {
  std::vector<std::string> lines;
  for (const CopyDelta& copy : result.copies) {
    EXPECT_FALSE(copy.problem) << copy.problem->reason;
    uint64_t rows = 0;
    for (const std::string& bytes : copy.deltas) {
      v1::Delta delta;
      EXPECT_TRUE(delta.ParseFromString(bytes));
      if (delta.truncate()) lines.push_back("truncate");
      for (const v1::Row& row : delta.rows()) {
        std::string line = (row.weight() > 0 ? "+" : "") + std::to_string(row.weight());
        wire::Reader reader(row.row());
        wire::Field field;
        while (reader.next(field))
          line += " " + std::to_string(field.number) + "=" +
                  (field.type == wire::Type::bytes ? std::string(field.bytes)
                                                   : std::to_string(wire::unzigzag(field.value)));
        if (row.source() != 1) line += " source " + std::to_string(row.source());
        if (row.xid() != 0) line += " xid " + std::to_string(row.xid());
        lines.push_back(line);
        ++rows;
      }
    }
    EXPECT_EQ(copy.rows, rows);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

CopyProblem problem_of(const Consolidated& result) {
  if (result.copies.size() != 1 || !result.copies[0].problem) {
    ADD_FAILURE() << "no problem";
    return {};
  }
  EXPECT_TRUE(result.copies[0].deltas.empty());
  return *result.copies[0].problem;
}

TEST(Consolidate, NetsByImage) {
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(1, 10, 100));
    s.insert(1, row(2, 10, 200));
    s.insert(1, row(3, 20, 300));
    s.remove(1, v1::BEFORE_FULL, row(9, 20, 1));
    s.remove(1, v1::BEFORE_FULL, row(8, 30, 1));
  });
  const Consolidated result = consolidate({plan_of({2})}, stream);
  EXPECT_THAT(rows_of(result), ElementsAre("+2 2=10", "-1 2=30"));
  EXPECT_EQ(result.changes, 5u);
}

TEST(Consolidate, DropsUpdatesThatTouchNothingReferenced) {
  auto stream = transaction([](StreamBuilder& s) {
    s.update(1, v1::BEFORE_FULL, row(1, 10, 100), row(1, 10, 101));
    s.update(1, v1::BEFORE_FULL, row(2, 10, 100), row(2, 11, 100));
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({2})}, stream)), ElementsAre("+1 2=11", "-1 2=10"));
  stream = transaction([](StreamBuilder& s) { s.update(1, v1::BEFORE_FULL, row(1, 1, 100), row(1, 1, 101)); });
  EXPECT_TRUE(consolidate({plan_of({1, 2})}, stream).copies.empty());
  stream = transaction([](StreamBuilder& s) { s.update(1, v1::BEFORE_FULL, row(1, 1, 100), row(1, 1, 101)); });
  EXPECT_TRUE(consolidate({plan_of({1, 2}, {1}, true)}, stream).copies.empty());
}

TEST(Consolidate, ANullIsAnImageOfItsOwn) {
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(1));
    s.insert(1, row(2, 0));
    s.update(1, v1::BEFORE_FULL, row(3, 5), row(3));
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({2})}, stream)), ElementsAre("+1 2=0", "+2", "-1 2=5"));
}

TEST(Consolidate, UsesTheIdentityWhereItSuffices) {
  // All that the copy references is in the identity (c1, c2): the key is the old row, and no old row says nothing
  // changed.
  auto stream = transaction(
      [](StreamBuilder& s) {
        s.update(1, v1::BEFORE_NONE, "", row(1, 10, 100));
        s.update(1, v1::BEFORE_KEY, row(2, 10), row(2, 20, 100));
        s.remove(1, v1::BEFORE_KEY, row(3, 30));
      },
      2);
  EXPECT_THAT(rows_of(consolidate({plan_of({2})}, stream)), ElementsAre("+1 2=20", "-1 2=10", "-1 2=30"));
}

TEST(Consolidate, CountsRowsOfWhichNothingIsReferenced) {
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(1, 1, 1));
    s.insert(1, row(2, 2, 2));
    s.update(1, v1::BEFORE_NONE, "", row(1, 5, 5));
    s.remove(1, v1::BEFORE_NONE, "");
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({})}, stream)), ElementsAre("+1"));
}

TEST(Consolidate, StopsACopyThatCannotTellTheOldRow) {
  const std::vector<std::function<void(StreamBuilder&)>> changes = {
      [](StreamBuilder& s) { s.update(1, v1::BEFORE_NONE, "", row(1, 10, 100)); },
      [](StreamBuilder& s) { s.update(1, v1::BEFORE_KEY, row(1), row(2, 10, 100)); },
      [](StreamBuilder& s) { s.remove(1, v1::BEFORE_KEY, row(1)); },
      [](StreamBuilder& s) { s.remove(1, v1::BEFORE_NONE, ""); },
  };
  for (const auto& change : changes) {
    auto stream = transaction([&](StreamBuilder& s) {
      s.insert(1, row(7, 7, 7));
      change(s);
      s.insert(1, row(8, 8, 8));
    });
    const CopyProblem problem = problem_of(consolidate({plan_of({2})}, stream));
    EXPECT_EQ(problem.state, "stale");
    EXPECT_EQ(problem.sqlstate, "AN003");
    EXPECT_THAT(problem.reason, HasSubstr("ALTER TABLE public.t1 REPLICA IDENTITY FULL"));
  }
  // Nobody's fault but the one copy's.
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(7, 7, 7));
    s.remove(1, v1::BEFORE_KEY, row(1));
  });
  CopyPlan other = plan_of({1});
  other.copy = 901;
  const Consolidated result = consolidate({plan_of({2}), other}, stream);
  ASSERT_EQ(result.copies.size(), 2u);
  EXPECT_TRUE(result.copies[0].problem);
  EXPECT_EQ(result.copies[1].copy, 901u);
  EXPECT_EQ(result.copies[1].rows, 2u);
}

TEST(Consolidate, TheLastStateOfAKeyWins) {
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(1, 10, 100));
    s.update(1, v1::BEFORE_NONE, "", row(1, 11, 100));
    s.update(1, v1::BEFORE_KEY, row(2), row(3, 30, 300));  // the key moves
    s.remove(1, v1::BEFORE_KEY, row(4));
    s.remove(1, v1::BEFORE_FULL, row(5, 50, 500));
    s.insert(1, row(5, 51, 500));
    s.insert(1, row(6, 60, 600));  // comes and goes
    s.remove(1, v1::BEFORE_KEY, row(6));
    s.update(1, v1::BEFORE_FULL, row(7, 70, 700), row(7, 71, 700));
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 2}, {1}, true)}, stream)),
              ElementsAre("+1 1=1 2=11", "+1 1=3 2=30", "+1 1=5 2=51", "+1 1=7 2=71", "-1 1=2", "-1 1=4"));
}

TEST(Consolidate, KeysShiftAlongInOneTransaction) {
  // UPDATE t SET c1 = c1 + 1, from the top: 3 to 4, 2 to 3, 1 to 2.
  auto stream = transaction([](StreamBuilder& s) {
    for (const int64_t key : {3, 2, 1}) s.update(1, v1::BEFORE_KEY, row(key), row(key + 1, key * 10));
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 2}, {1}, true)}, stream)),
              ElementsAre("+1 1=2 2=10", "+1 1=3 2=20", "+1 1=4 2=30", "-1 1=1"));
}

TEST(Consolidate, KeyModeNeedsTheKey) {
  for (const auto& change : std::vector<std::function<void(StreamBuilder&)>>{
           [](StreamBuilder& s) { s.update(1, v1::BEFORE_NONE, "", row(1, 10)); },
           [](StreamBuilder& s) { s.remove(1, v1::BEFORE_KEY, row(1)); },
           [](StreamBuilder& s) { s.remove(1, v1::BEFORE_NONE, ""); }}) {
    auto stream = transaction(change);
    EXPECT_EQ(problem_of(consolidate({plan_of({1, 2}, {2}, true)}, stream)).sqlstate, "AN003");
  }
}

TEST(Consolidate, RowsWithoutAKeyAreImages) {
  auto stream = transaction([](StreamBuilder& s) {
    s.insert(1, row(1, 10));
    s.insert(1, row(1, 10));
    s.remove(1, v1::BEFORE_FULL, row(2, 20));
  });
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 2}, {}, true)}, stream)), ElementsAre("+2 1=1 2=10", "-1 1=2 2=20"));
}

TEST(Consolidate, FillsUnchangedValuesFromTheOldRow) {
  const std::string old = row(1).text(2, "long").integer(3, 1);
  auto stream = transaction([&](StreamBuilder& s) { s.update(1, v1::BEFORE_FULL, old, row(1).integer(3, 2), {2}); });
  EXPECT_THAT(rows_of(consolidate({plan_of({2, 3})}, stream)), ElementsAre("+1 2=long 3=2", "-1 2=long 3=1"));
  stream = transaction([&](StreamBuilder& s) { s.update(1, v1::BEFORE_FULL, old, row(1).integer(3, 2), {2}); });
  EXPECT_TRUE(consolidate({plan_of({1, 2})}, stream).copies.empty());
  stream = transaction([&](StreamBuilder& s) { s.update(1, v1::BEFORE_FULL, old, row(1).integer(3, 2), {2}); });
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 2, 3}, {1}, true)}, stream)), ElementsAre("+1 1=1 2=long 3=2"));

  stream = transaction([&](StreamBuilder& s) { s.update(1, v1::BEFORE_NONE, "", row(1).integer(3, 2), {2}); });
  const CopyProblem problem = problem_of(consolidate({plan_of({1, 2}, {1}, true)}, stream));
  EXPECT_EQ(problem.sqlstate, "AN003");
  EXPECT_THAT(problem.reason, HasSubstr("\"c2\""));
  stream = transaction([&](StreamBuilder& s) { s.update(1, v1::BEFORE_NONE, "", row(1).integer(3, 2), {2}); });
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 3}, {1}, true)}, stream)), ElementsAre("+1 1=1 3=2"));
}

TEST(Consolidate, AValueThatDidNotArriveStopsWhoNeedsIt) {
  const auto with_gap = [](StreamBuilder& s) {
    v1::Record record;
    record.mutable_insert()->set_relation(1);
    record.mutable_insert()->set_after(row(1));
    v1::Omitted& omitted = *record.mutable_insert()->mutable_after_gaps()->add_omitted();
    omitted.set_number(3);
    omitted.set_sqlstate("54000");
    omitted.set_reason("string buffer exceeds 1 GB");
    s.add(record);
  };
  auto stream = transaction(with_gap);
  EXPECT_THAT(rows_of(consolidate({plan_of({1, 2})}, stream)), ElementsAre("+1 1=1"));
  stream = transaction(with_gap);
  const CopyProblem problem = problem_of(consolidate({plan_of({1, 3})}, stream));
  EXPECT_EQ(problem.state, "stale");
  EXPECT_THAT(problem.reason, HasSubstr("column \"c3\" of public.t1"));
  EXPECT_THAT(problem.reason, HasSubstr("string buffer exceeds 1 GB (SQLSTATE 54000)"));
}

TEST(Consolidate, TruncateOfTheOnlySourceEmptiesTheCopy) {
  for (const bool rows_class : {false, true}) {
    auto stream = transaction([](StreamBuilder& s) {
      s.insert(1, row(1, 10));
      s.truncate({{1, 0}});
      s.insert(1, row(2, 20));
    });
    EXPECT_THAT(rows_of(consolidate({plan_of({1, 2}, {1}, rows_class)}, stream)),
                ElementsAre("+1 1=2 2=20", "truncate"));
  }
  auto stream = transaction([](StreamBuilder& s) { s.truncate({{1, 0}}); });
  EXPECT_THAT(rows_of(consolidate({plan_of({1})}, stream)), ElementsAre("truncate"));
}

TEST(Consolidate, ALossWithoutNamesMakesStale) {
  CopyPlan two = plan_of({1});
  two.sources.push_back({2, 2, {1}, {}, false, {}});
  const auto truncated = [](const std::vector<std::pair<uint32_t, uint32_t>>& list) {
    return transaction([&](StreamBuilder& s) {
      s.relation(2);
      s.relation(3);
      s.truncate(list);
    });
  };
  auto stream = truncated({{1, 11}});
  const CopyProblem leaf = problem_of(consolidate({plan_of({1})}, stream));
  EXPECT_EQ(leaf.state, "stale");
  EXPECT_EQ(leaf.sqlstate, "AN004");
  EXPECT_THAT(leaf.reason, HasSubstr("a partition of public.t1"));
  stream = truncated({{2, 0}, {3, 0}});
  EXPECT_THAT(problem_of(consolidate({two}, stream)).reason, HasSubstr("public.t2"));
  stream = truncated({{2, 0}, {1, 0}});
  EXPECT_THAT(rows_of(consolidate({two}, stream)), ElementsAre("truncate"));
  stream = truncated({{3, 0}});
  EXPECT_TRUE(consolidate({two}, stream).copies.empty());

  CopyPlan filling = plan_of({1});
  filling.with_xid = true;
  stream = truncated({{1, 0}});
  EXPECT_EQ(problem_of(consolidate({filling}, stream)).state, "filling");
}

TEST(Consolidate, UnselectedMakesStale) {
  auto stream = transaction([](StreamBuilder& s) {
    v1::Record record;
    record.mutable_unselected()->set_relation(1);
    s.add(record);
  });
  const Consolidated result = consolidate({plan_of({1})}, stream);
  EXPECT_THAT(problem_of(result).reason, HasSubstr("has left the publication"));
  EXPECT_EQ(result.changes, 0u);
}

TEST(Consolidate, SurfacesDdlInOrder) {
  StreamBuilder stream;
  stream.begin(5, 100);
  v1::Record record;
  v1::Relation& ddl = *record.mutable_relation();
  ddl.set_oid(77);
  ddl.set_schema("anabranch");
  ddl.set_name("ddl");
  const char* names[] = {"id", "relation", "tag", "identity", "stale", "reason"};
  for (uint32_t i = 0; i < 6; ++i) {
    ddl.add_columns()->set_number(i + 1);
    ddl.mutable_columns(static_cast<int>(i))->set_name(names[i]);
  }
  stream.add(record);
  stream.relation(1);
  stream.insert(1, row(1));
  stream.insert(77, RowBuilder()
                        .integer(1, 1)
                        .oid(2, 1)
                        .text(3, "ALTER TABLE")
                        .text(4, "public.t1")
                        .text(5, "{900,950}")
                        .text(6, "column \"c1\" was dropped"));
  stream.remove(77, v1::BEFORE_KEY, RowBuilder().integer(1, 1));
  stream.insert(77, RowBuilder().integer(1, 2).oid(2, 2).text(3, "DROP TABLE").text(5, "{}"));
  stream.commit(120);
  CopyPlan other = plan_of({1});
  other.copy = 901;
  StreamBuilder again = stream;
  const Consolidated result = consolidate({plan_of({1}), other}, stream);
  ASSERT_EQ(result.ddl.size(), 2u);
  EXPECT_EQ(result.ddl[0].relation, 1u);
  EXPECT_EQ(result.ddl[0].tag, "ALTER TABLE");
  EXPECT_EQ(result.ddl[0].identity, "public.t1");
  EXPECT_THAT(result.ddl[0].stale, ElementsAre(900, 950));
  EXPECT_EQ(result.ddl[0].xid, 5u);
  EXPECT_EQ(result.ddl[0].commit_lsn, Lsn(100));
  EXPECT_EQ(result.ddl[1].tag, "DROP TABLE");
  EXPECT_THAT(result.ddl[1].stale, IsEmpty());
  ASSERT_EQ(result.copies.size(), 2u);
  EXPECT_EQ(result.copies[0].problem->sqlstate, "AN004");
  EXPECT_EQ(result.copies[0].problem->reason, "column \"c1\" was dropped");
  EXPECT_EQ(result.copies[1].rows, 1u);

  CopyPlan ahead = plan_of({1});
  ahead.position = Lsn(120);
  EXPECT_TRUE(consolidate({ahead}, again).copies.empty());
}

TEST(Consolidate, RefusesDdlOfAnotherForm) {
  for (const char* stale : {"{public.t}", "{1", "1,2", "{1,}", "{,}", "{-1}"}) {
    StreamBuilder stream;
    stream.begin(5, 100);
    v1::Record record;
    record.mutable_relation()->set_oid(77);
    record.mutable_relation()->set_schema("anabranch");
    record.mutable_relation()->set_name("ddl");
    record.mutable_relation()->add_columns()->set_number(1);
    record.mutable_relation()->mutable_columns(0)->set_name("stale");
    stream.add(record);
    stream.insert(77, RowBuilder().text(1, stale));
    stream.commit(120);
    EXPECT_THROW(consolidate({plan_of({1})}, stream), LogError) << stale;
  }
}

TEST(Consolidate, SkipsWhatTheCopyHas) {
  for (const auto& [position, expected] : {std::pair{100, 2}, {101, 1}, {120, 1}, {130, 1}, {131, 0}}) {
    StreamBuilder stream;
    stream.begin(5, 100);
    stream.relation(1);
    stream.insert(1, row(1));
    stream.commit(120);
    stream.begin(6, 130);
    stream.insert(1, row(2));
    stream.commit(140);
    CopyPlan plan = plan_of({1});
    plan.position = Lsn(position);
    EXPECT_EQ(rows_of(consolidate({plan}, stream)).size(), static_cast<size_t>(expected)) << position;
  }
}

TEST(Consolidate, RowsOfAFillingCopyCarryTheirTransaction) {
  const auto stream_of = [] {
    StreamBuilder stream;
    stream.begin(5, 100);
    stream.relation(1);
    stream.insert(1, row(1, 10));
    stream.insert(1, row(2, 20));
    stream.remove(1, v1::BEFORE_FULL, row(2, 20));
    stream.insert(1, row(3, 30));
    stream.commit(120);
    stream.begin(6, 130);
    stream.remove(1, v1::BEFORE_FULL, row(1, 10));
    stream.remove(1, v1::BEFORE_FULL, row(3, 30));
    stream.insert(1, row(3, 31));
    stream.commit(140);
    return stream;
  };
  CopyPlan linear = plan_of({1, 2}, {1});
  linear.with_xid = true;
  auto stream = stream_of();
  EXPECT_THAT(rows_of(consolidate({linear}, stream)),
              ElementsAre("+1 1=1 2=10 xid 5", "+1 1=3 2=30 xid 5", "+1 1=3 2=31 xid 6", "-1 1=1 2=10 xid 6",
                          "-1 1=3 2=30 xid 6"));
  CopyPlan rows = plan_of({1, 2}, {1}, true);
  rows.with_xid = true;
  stream = stream_of();
  EXPECT_THAT(rows_of(consolidate({rows}, stream)), ElementsAre("+1 1=3 2=31 xid 6", "-1 1=1 xid 6", "-1 1=2 xid 5"));
}

TEST(Consolidate, KeepsSourcesApart) {
  CopyPlan plan = plan_of({1});
  plan.sources.push_back({2, 2, {1}, {}, false, {}});
  auto stream = transaction([](StreamBuilder& s) {
    s.relation(2);
    s.insert(1, row(1));
    s.insert(2, row(1));
    s.remove(2, v1::BEFORE_FULL, row(7));
  });
  EXPECT_THAT(rows_of(consolidate({plan}, stream)), ElementsAre("+1 1=1", "+1 1=1 source 2", "-1 1=7 source 2"));
}

TEST(Consolidate, StartsAfreshAfterTake) {
  Consolidator consolidator;
  consolidator.plan({plan_of({1})});
  EXPECT_TRUE(consolidator.empty());
  auto stream = transaction([](StreamBuilder& s) { s.insert(1, row(1)); });
  const auto pieces = pieces_of(stream);
  for (int round = 0; round < 3; ++round) {
    consolidator.add(pieces[0]);
    EXPECT_FALSE(consolidator.empty());
    EXPECT_EQ(consolidator.rows(), 1u);
    EXPECT_GT(consolidator.bytes(), 0u);
    EXPECT_THROW(consolidator.plan({}), std::logic_error);
    EXPECT_THAT(rows_of(consolidator.take()), ElementsAre("+1 1=1"));
    EXPECT_TRUE(consolidator.empty());
  }
  auto bad = transaction([](StreamBuilder& s) { s.remove(1, v1::BEFORE_NONE, ""); });
  const auto bad_pieces = pieces_of(bad);
  consolidator.add(bad_pieces[0]);
  EXPECT_EQ(consolidator.take().copies.size(), 1u);
  consolidator.add(bad_pieces[0]);
  EXPECT_TRUE(consolidator.empty());  // told once
  EXPECT_TRUE(consolidator.take().copies.empty());
  consolidator.plan({plan_of({1})});
  consolidator.add(pieces[0]);
  EXPECT_THAT(rows_of(consolidator.take()), ElementsAre("+1 1=1"));
}

}  // namespace
}  // namespace anabranch
