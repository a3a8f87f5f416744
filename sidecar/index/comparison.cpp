#include "sidecar/index/comparison.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/index/delivery.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr int pending_max = 5'000;  // further behind, an index is not compared
constexpr int rows_least = 1, rows_first = 500, rows_most = 5'000;
constexpr int rows_worth = 250;                   // fewer hardly take less time
constexpr milliseconds turn_time_wanted = 100ms;  // deliveries wait as long
constexpr milliseconds look_wait = 50ms;
constexpr milliseconds rest_max = 5s;
constexpr int contested_rounds = 20;              // looks at a key that is pending each time
constexpr std::size_t contested_max = 100'000;    // beyond, they are delivered here at once
constexpr std::size_t shown_bytes_max = 100'000;  // of a document in a difference
constexpr const char* too_large = "54000";

std::string key_of_foreign(const HeldDocument& held) {
  return nlohmann::json{{"id", held.id}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class Comparing {
 public:
  Comparing(Connection& connection, const IndexSettings& settings, const IndexCopy& copy, uint64_t token,
            const Stop& stop, const ComparisonOptions& options)
      : connection_(connection),
        copy_(copy),
        token_(token),
        stop_(stop),
        options_(options),
        index_(make_index(settings, copy.definition, stop)) {
    result_.differing = result_.repaired = options.repaired_before;
  }

  IndexComparison run() {
    index_->open(token_);
    contested_.insert(options_.keys.begin(), options_.keys.end());
    if (options_.keys.empty()) {
      compare_copy();
      compare_held();
    }
    for (int round = 1; !contested_.empty(); ++round)
      compare_contested(round > contested_rounds || (options_.keys.empty() && contested_.size() > contested_max));
    options_.record(result_, found_);
    return result_;
  }

 private:
  struct Suspect {
    Document document;
    FoundDocument found;
  };

  // A turn in which the pending keys are few; `contested` are these.
  std::unique_ptr<Turn> take_turn(std::set<std::string, std::less<>>& contested);
  void compare_copy();
  void compare_held();
  void compare_contested(bool deliver);
  void compare_keyed(const std::set<std::string, std::less<>>& keys, bool deliver);
  void judge(Turn& turn, const DocumentBatch& batch, const std::set<std::string, std::less<>>& contested,
             Delivered delivered);
  void differs(IndexDifference difference);
  void settle(Turn& turn, std::vector<Suspect> suspects, Delivered delivered);
  void write(const Turn& turn, const std::vector<Document>& documents, Delivered& delivered);
  void rest();

  Connection& connection_;
  const IndexCopy& copy_;
  const uint64_t token_;
  const Stop& stop_;
  const ComparisonOptions& options_;
  std::unique_ptr<ExternalIndex> index_;
  int rows_max_ = rows_first;
  int contested_rows_ = rows_first;
  milliseconds held_{};  // how long the last turn took
  std::set<std::string, std::less<>> contested_;
  IndexComparison result_;
  std::vector<IndexDifference> found_;  // and not recorded yet
};

bool as_expected(const Document& expected, const FoundDocument& found) {
  return expected.content ? found.present && found.equal && !found.foreign : !found.present;
}

const char* kind_of(const Document& expected, const FoundDocument& found) {
  if (!expected.content) return "extra";
  if (!found.present) return "missing";
  if (found.foreign) return "foreign";
  return found.stale ? "stale" : "wrong";
}

std::unique_ptr<Turn> Comparing::take_turn(std::set<std::string, std::less<>>& contested) {
  for (;;) {
    auto turn = std::make_unique<Turn>(connection_, copy_.oid, pending_max);
    std::string reason;
    if (!turn->state() || turn->state()->generation != copy_.definition.generation)
      throw IndexError(IndexError::Kind::refused, "the index was dropped or defined anew", "verify it again");
    if (turn->state()->token != token_) throw PgError("AN001", "another sidecar has taken over");
    if (!turn->state()->live) {
      reason = "the copy is not live";
    } else if (turn->state()->filled < turn->state()->generation) {
      reason = "the index is being filled";
    } else if (turn->state()->pending >= pending_max) {
      reason = "the index is behind its copy";
    }
    if (reason.empty()) {
      const DeliveryState& state = *turn->state();
      result_.lsn = state.lsn;
      contested.clear();
      if (state.pending > 0) {
        const DocumentBatch pending = turn->changed(state.number, state.upto, Turn::Contents::empty);
        for (const Document& document : pending.documents()) contested.emplace(document.key);
      }
      return turn;
    }
    turn.reset();
    options_.note(reason);
    if (stop_.wait(look_wait)) throw Interrupted();
  }
}

// After a turn: as long as the duty asks for.
void Comparing::rest() {
  const milliseconds took = held_;
  if (took > turn_time_wanted * 2 && rows_max_ > rows_worth) rows_max_ = std::max(rows_max_ / 2, rows_worth);
  if (took < turn_time_wanted / 2) rows_max_ = std::min(rows_max_ * 2, rows_most);
  options_.record(result_, found_);
  found_.clear();
  options_.note({});
  if (options_.duty >= 1) return;
  const auto pause = std::chrono::duration_cast<milliseconds>(took * (1 / options_.duty - 1));
  if (stop_.wait(std::min(pause, rest_max))) throw Interrupted();
}

void Comparing::compare_copy() {
  std::optional<std::string> behind;
  for (bool all = false; !all;) {
    try {
      std::set<std::string, std::less<>> contested;
      const auto turn = take_turn(contested);
      const DocumentBatch batch = turn->next(behind, rows_max_);
      turn->end_snapshot();
      judge(*turn, batch, contested, {});
      all = batch.rows() == 0;
      if (!all) behind = batch.last_key();
    } catch (const PgError& error) {
      if (error.sqlstate() != too_large || rows_max_ == rows_least) throw;
      rows_max_ = std::max(rows_max_ / 2, rows_least);
      continue;
    }
    failpoint("index_compared");
    rest();
  }
}

void Comparing::compare_held() {
  for (std::string after;;) {
    const HeldPage page = index_->scan(after);
    {
      std::set<std::string, std::less<>> contested;
      const auto turn = take_turn(contested);
      const DocumentBatch expected = turn->keyed(keys_of(page), Turn::Contents::empty);
      turn->end_snapshot();
      const std::vector<HeldDocument> held = without_parked(index_->extra(page, expected.documents()), expected);
      const std::vector<Document> extra = as_gone(held);
      std::vector<Suspect> suspects;
      const std::vector<FoundDocument> found = index_->inspect(extra);
      for (std::size_t place = 0; place < extra.size(); ++place) {
        if (!found[place].present) continue;
        if (contested.contains(extra[place].key))
          contested_.emplace(extra[place].key);
        else
          suspects.push_back({extra[place], found[place]});
      }
      result_.compared += static_cast<int64_t>(suspects.size());
      settle(*turn, std::move(suspects), {});
      held_ = turn->age();
    }
    after = page.next;
    if (after.empty()) return;
    rest();
  }
}

// Looks at each of them once. `deliver`: those that are pending all the time are sent here before they are compared.
void Comparing::compare_contested(bool deliver) {
  auto left = std::exchange(contested_, {});
  while (!left.empty()) {
    std::set<std::string, std::less<>> keys;
    while (!left.empty() && keys.size() < static_cast<std::size_t>(contested_rows_))
      keys.insert(left.extract(left.begin()));
    try {
      compare_keyed(keys, deliver);
    } catch (const PgError& error) {
      if (error.sqlstate() != too_large || contested_rows_ == rows_least) throw;
      contested_rows_ = std::max(contested_rows_ / 2, rows_least);
      left.merge(keys);
      continue;
    }
    rest();
  }
  if (!deliver && stop_.wait(look_wait)) throw Interrupted();
}

void Comparing::compare_keyed(const std::set<std::string, std::less<>>& keys, bool deliver) {
  std::set<std::string, std::less<>> contested;
  const auto turn = take_turn(contested);
  const DocumentBatch expected = turn->keyed(fmt::format("[{}]", fmt::join(keys, ",")));
  turn->end_snapshot();
  Delivered delivered;
  if (deliver) {
    std::vector<Document> pending;
    for (const Document& document : expected.documents())
      if (contested.contains(document.key)) pending.push_back(document);
    if (!pending.empty()) write(*turn, pending, delivered);
    contested.clear();
  }
  judge(*turn, expected, contested, std::move(delivered));
}

void Comparing::judge(Turn& turn, const DocumentBatch& batch, const std::set<std::string, std::less<>>& contested,
                      Delivered delivered) {
  // Whatever the index has of them.
  for (const ParkedDocument& parked : batch.parked()) {
    ++result_.compared;
    differs({.key = parked.key, .kind = "missing", .expected = {}, .actual = {}});
  }
  const std::vector<Document>& expected = batch.documents();
  const std::vector<FoundDocument> found = index_->inspect(expected);
  std::vector<Suspect> suspects;
  for (std::size_t place = 0; place < expected.size(); ++place) {
    const bool equal = as_expected(expected[place], found[place]);
    if (!equal && contested.contains(expected[place].key)) {
      contested_.emplace(expected[place].key);
      continue;
    }
    ++result_.compared;
    if (!equal) suspects.push_back({expected[place], found[place]});
  }
  settle(turn, std::move(suspects), std::move(delivered));
  held_ = turn.age();
}

// `delivered`: what is to be recorded of the turn.
void Comparing::write(const Turn& turn, const std::vector<Document>& documents, Delivered& delivered) {
  delivered.version = version_at(*turn.state());
  delivered.documents += static_cast<int64_t>(documents.size());
  for (RefusedDocument& refused : index_->write(documents, *delivered.version)) {
    const Document& document = documents[refused.place];
    if (document.content)
      delivered.parked.push_back(
          {std::string(document.key), static_cast<int64_t>(document.content->size()), std::move(refused.reason)});
  }
}

// Nothing can have changed them: they differ. Ends the turn where something was written in it, `delivered` or a repair.
void Comparing::settle(Turn& turn, std::vector<Suspect> suspects, Delivered delivered) {
  std::vector<bool> repaired(suspects.size());
  if (options_.repairs && !suspects.empty()) {
    std::vector<Document> documents;
    for (const Suspect& suspect : suspects) documents.push_back(suspect.document);
    write(turn, documents, delivered);
    failpoint("index_repaired");
    const std::vector<FoundDocument> now = index_->inspect(documents);
    for (std::size_t place = 0; place < documents.size(); ++place)
      repaired[place] = as_expected(documents[place], now[place]);
    for (std::size_t place = 0; turn.state()->refused && place < documents.size(); ++place)
      if (repaired[place]) delivered.taken.emplace_back(documents[place].key);
  }
  if (delivered.version) {
    index_->write({}, ++*delivered.version);
    turn.record(token_, delivered);
  }
  for (std::size_t place = 0; place < suspects.size(); ++place) {
    const auto& [document, found] = suspects[place];
    IndexDifference difference;
    difference.key = document.key.empty() ? key_of_foreign({{}, std::string(document.id), {}, {}}) : document.key;
    difference.kind = document.key.empty() ? "foreign" : kind_of(document, found);
    if (document.content && document.content->size() <= shown_bytes_max) difference.expected = *document.content;
    difference.actual = found.actual;
    difference.repaired = repaired[place];
    differs(std::move(difference));
  }
}

void Comparing::differs(IndexDifference difference) {
  ++result_.differing;
  result_.repaired += difference.repaired;
  if (result_.differing <= options_.differences_max) found_.push_back(std::move(difference));
}

}  // namespace

IndexComparison compare_index(Connection& connection, const IndexSettings& settings, const IndexCopy& copy,
                              uint64_t token, const Stop& stop, const ComparisonOptions& options) {
  return Comparing(connection, settings, copy, token, stop, options).run();
}

}  // namespace anabranch
