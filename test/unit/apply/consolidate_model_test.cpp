// Goal: whatever is done to the tables, and wherever the batches end, a copy's contents are its projection of the
// tables. Method: random transactions over two modelled tables, sent through the real reader in frames of random size;
// deltas are taken at random places, within transactions, too, and applied to plain containers, which are compared with
// the model at each commit. Every run prints its seed when it fails; ANABRANCH_SEED=n runs that one alone.
#include <chrono>
#include <cstdlib>
#include <random>

#include "sidecar/log/transaction.hpp"
#include "test/unit/apply/delta_sum.hpp"
#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::CopyContents;
using test::RowBuilder;
using test::StreamBuilder;

constexpr uint32_t columns = 4;
using Values = std::array<std::optional<int64_t>, columns>;  // c1 is the key

// A table, and what the decoder would send of the changes to it.
struct Table {
  uint32_t oid;
  bool full;  // the replica identity
  std::map<int64_t, Values> rows;
};

std::string encode(const Values& values, const std::vector<uint32_t>& but = {}) {
  RowBuilder row;
  for (uint32_t number = 1; number <= columns; ++number)
    if (values[number - 1] && std::find(but.begin(), but.end(), number) == but.end()) {
      if (number == columns)
        row.text(number, std::string(static_cast<size_t>(*values[number - 1] % 7), 'v'));
      else
        row.integer(number, *values[number - 1]);
    }
  return row;
}

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), tables_{{{1, true, {}}, {2, flip(), {}}}} {}

  // Appends one transaction.
  void transaction(StreamBuilder& stream, uint64_t xid) {
    stream.begin(xid, xid * 10);
    for (const Table& table : tables_)
      if (xid == 1 || below(20) == 0)
        stream.relation(table.oid, columns, 1, table.full ? v1::REPLICA_IDENTITY_FULL : v1::REPLICA_IDENTITY_DEFAULT);
    for (uint64_t i = below(30); i > 0; --i) change(stream, tables_[below(2)]);
    stream.commit(xid * 10 + 5);
  }

  CopyContents expected(const CopyPlan& plan) const {
    CopyContents contents;
    for (const CopySource& source : plan.sources)
      for (const Table& table : tables_) {
        if (table.oid != source.relation) continue;
        for (const auto& [key, values] : table.rows) {
          const std::string image = CopyContents::project(source.columns, encode(values));
          if (plan.rows_class && !source.key.empty())
            contents.keys[{source.ordinal, CopyContents::project(source.key, image)}] = image;
          else
            ++contents.images[{source.ordinal, image}];
        }
      }
    return contents;
  }

  bool is_full(uint32_t table) const { return tables_[table - 1].full; }
  uint64_t below(uint64_t bound) { return random_() % bound; }
  bool flip() { return below(2) == 0; }

 private:
  Values random_values(int64_t key) {
    Values values{key};
    for (uint32_t i = 1; i < columns; ++i)
      if (below(5) != 0) values[i] = static_cast<int64_t>(below(4));
    return values;
  }

  void change(StreamBuilder& stream, Table& table) {
    const uint64_t what = below(100);
    if (what == 0) {
      stream.truncate({{1, 0}, {2, 0}});
      for (Table& each : tables_) each.rows.clear();
      return;
    }
    const auto key = static_cast<int64_t>(below(12));
    const auto found = table.rows.find(key);
    if (found == table.rows.end()) {
      stream.insert(table.oid, encode(table.rows[key] = random_values(key)));
      return;
    }
    const Values old = found->second;
    const std::string old_row = table.full ? encode(old) : encode({key});
    const auto kind = table.full ? v1::BEFORE_FULL : v1::BEFORE_KEY;
    if (what < 40) {
      table.rows.erase(found);
      stream.remove(table.oid, kind, old_row);
      return;
    }
    auto next_key = what < 55 ? static_cast<int64_t>(below(12)) : key;
    if (table.rows.contains(next_key)) next_key = key;
    Values values = random_values(next_key);
    std::vector<uint32_t> unchanged;
    if (table.full && old[columns - 1] && flip()) {  // kept out of line, and not changed
      values[columns - 1] = old[columns - 1];
      unchanged.push_back(columns);
    }
    table.rows.erase(found);
    table.rows[next_key] = values;
    if (table.full || next_key != key)
      stream.update(table.oid, kind, old_row, encode(values, unchanged), unchanged);
    else
      stream.update(table.oid, v1::BEFORE_NONE, "", encode(values));
  }

  std::mt19937_64 random_;
  std::array<Table, 2> tables_;
};

std::vector<CopyPlan> plans_for(const Model& model) {
  const auto plan = [](uint32_t oid, bool rows_class, std::vector<CopySource> sources) {
    CopyPlan plan;
    plan.copy = oid;
    plan.rows_class = rows_class;
    plan.sources = std::move(sources);
    return plan;
  };
  std::vector<CopyPlan> plans = {
      plan(900, true, {{1, 1, {1, 3, 4}, {1}, true, {}}, {2, 2, {1, 2}, {1}, false, {}}}),
      plan(901, false, {{1, 1, {1}, {}, false, {}}, {2, 2, {1}, {}, false, {}}}),
      plan(902, false, {{1, 1, {2}, {}, true, {}}, {5, 2, {}, {}, false, {}}}),
  };
  if (model.is_full(2)) {
    plans.push_back(plan(903, false, {{1, 1, {2, 3}, {}, true, {}}, {2, 2, {3, 4}, {}, true, {}}}));
    plans.push_back(plan(904, true, {{1, 1, {3, 4}, {}, true, {}}, {2, 2, {1, 4}, {1}, true, {}}}));
  }
  return plans;
}

void run(uint64_t seed) {
  SCOPED_TRACE("ANABRANCH_SEED=" + std::to_string(seed));
  Model model(seed);
  const std::vector<CopyPlan> plans = plans_for(model);
  // Two consolidators, whose batches end at different places.
  struct Follower {
    Consolidator consolidator{ConsolidateOptions{.delta_bytes_max = 64}};
    std::map<uint32_t, CopyContents> contents;
    uint64_t rarity;
  };
  std::array<Follower, 2> followers;
  followers[0].rarity = 1 + model.below(3);
  followers[1].rarity = 1 + model.below(40);
  for (Follower& follower : followers) follower.consolidator.plan(plans);

  const auto take = [&](Follower& follower) {
    for (const CopyDelta& delta : follower.consolidator.take().copies) {
      ASSERT_FALSE(delta.problem) << delta.problem->reason;
      const auto plan =
          std::find_if(plans.begin(), plans.end(), [&](const CopyPlan& each) { return each.copy == delta.copy; });
      follower.contents[delta.copy].apply(*plan, delta.deltas);
    }
  };
  TransactionReader reader(Lsn(), 1'000);
  for (uint64_t xid = 1; xid <= 60; ++xid) {
    StreamBuilder stream;
    model.transaction(stream, xid);
    std::vector<TransactionPiece> pieces;
    for (const std::string& frame : stream.frames(1 + model.below(10))) {
      const auto storage = std::make_shared<std::string>(frame);
      reader.read(*storage, storage, {}, pieces);
    }
    for (const TransactionPiece& piece : pieces)
      for (Follower& follower : followers) {
        follower.consolidator.add(piece);
        if (model.below(follower.rarity) == 0) take(follower);
      }
    if (model.below(4) != 0) continue;
    for (Follower& follower : followers) {
      take(follower);
      if (::testing::Test::HasFatalFailure()) return;
      for (const CopyPlan& plan : plans)
        ASSERT_EQ(follower.contents[plan.copy], model.expected(plan)) << "copy " << plan.copy << " after " << xid;
    }
  }
}

TEST(ConsolidateModel, ACopyIsItsProjectionOfTheTables) {
  if (const char* seed = std::getenv("ANABRANCH_SEED")) return run(std::strtoull(seed, nullptr, 10));
  std::random_device device;
  const uint64_t base = device();
  // Bounded in time, too: a run under a sanitizer takes ten times as long.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (uint64_t i = 0; i < 100 && !HasFailure() && std::chrono::steady_clock::now() < end; ++i) run(base + i);
}

}  // namespace
}  // namespace anabranch
