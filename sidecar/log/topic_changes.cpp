#include "sidecar/log/topic_changes.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace anabranch {
namespace {

ChangeDetails& details_of(Change& change) {
  if (!change.details) change.details = std::make_unique<ChangeDetails>();
  return *change.details;
}

void append_gaps(const std::vector<OmittedColumn>& omitted, std::vector<Gap>& gaps) {
  for (const OmittedColumn& column : omitted)
    gaps.push_back({column.number, std::string(column.sqlstate), std::string(column.reason)});
}

bool has_unchanged(const Change& change) {
  return change.details != nullptr && !change.details->unchanged.empty();
}

// A row whose key changed comes as a delete and an insert. An insert that lacks values of columns that did not change
// is an update again if the old row has them; otherwise nobody has them.
void complete_insert(std::vector<Change>& changes, bool follows_directly) {
  Change& change = changes.back();
  if (follows_directly && changes.size() > 1) {
    Change& old = changes[changes.size() - 2];
    if (old.kind == Change::Kind::remove && old.before_kind == BeforeKind::full && old.relation == change.relation) {
      change.kind = Change::Kind::update;
      change.before_kind = BeforeKind::full;
      change.before = old.before;
      if (old.details) change.details->before_gaps = std::move(old.details->before_gaps);
      changes.erase(changes.end() - 2);
      return;
    }
  }
  for (const uint32_t number : change.details->unchanged)
    change.details->after_gaps.push_back(
        {number, "", "it is kept out of line and was not sent with a change of the key"});
  change.details->unchanged.clear();
}

// The copies of a truncate, one in each partition of each topic, are one change.
void add_truncated(std::vector<Truncated>& all, const std::vector<Truncated>& more) {
  for (const Truncated& truncated : more) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const Truncated& other) {
      return other.relation->oid == truncated.relation->oid && other.leaf == truncated.leaf;
    });
    if (!known) all.push_back(truncated);
  }
}

}  // namespace

void throw_damaged(const std::string& what) {
  throw LogError(LogError::Kind::damaged, what);
}

Change change_of(const TopicRow& row, const Relation* relation) {
  Change change;
  switch (row.operation) {
    case RowOperation::insert:
      change.kind = Change::Kind::insert;
      break;
    case RowOperation::update:
      change.kind = Change::Kind::update;
      break;
    case RowOperation::remove:
      change.kind = Change::Kind::remove;
      break;
    case RowOperation::truncate: {
      change.kind = Change::Kind::truncate;
      ChangeDetails& details = details_of(change);
      if (relation == nullptr) throw_damaged("a truncate that does not say which relation it is of");
      details.truncated.push_back({relation, row.leaf});
      details.cascade = row.cascade;
      details.restart_identity = row.restart_identity;
      return change;
    }
    default:
      // A row that was read, not written, changes nothing; what a message says is not for copies.
      change.kind = Change::Kind::message;
      details_of(change).transactional = true;
      return change;
  }
  if (relation == nullptr) throw_damaged("a row that does not say which relation it is of");
  change.relation = relation;
  change.before_kind = row.before_kind;
  change.before = row.before;
  change.after = row.after;
  if (row.has_details) {
    ChangeDetails& details = details_of(change);
    details.unchanged = row.unchanged;
    append_gaps(row.omitted_before, details.before_gaps);
    append_gaps(row.omitted_after, details.after_gaps);
  }
  return change;
}

uint64_t merge_partitions(std::vector<NumberedChanges> partitions, std::vector<Change>& changes) {
  struct Head {
    uint64_t number;
    size_t partition, at;
  };
  const auto later = [](const Head& a, const Head& b) {
    return a.number != b.number ? a.number > b.number : a.partition > b.partition;
  };
  std::vector<Head> heads;
  size_t total = 0;
  for (size_t i = 0; i < partitions.size(); ++i) {
    total += partitions[i].size();
    if (!partitions[i].empty()) heads.push_back({partitions[i].front().number, i, 0});
  }
  std::make_heap(heads.begin(), heads.end(), later);
  changes.reserve(total);
  uint64_t records = 0, last = 0;
  while (!heads.empty()) {
    std::pop_heap(heads.begin(), heads.end(), later);
    Head& head = heads.back();
    NumberedChanges& of = partitions[head.partition];
    Change& change = of[head.at].change;
    if (head.number == last) {
      if (changes.back().kind != Change::Kind::truncate || change.kind != Change::Kind::truncate)
        throw_damaged(fmt::format("record {} comes twice", head.number));
      add_truncated(changes.back().details->truncated, change.details->truncated);
    } else {
      const bool follows_directly = head.number == last + 1;
      last = head.number;
      ++records;
      changes.push_back(std::move(change));
      if (changes.back().kind == Change::Kind::insert && has_unchanged(changes.back()))
        complete_insert(changes, follows_directly);
    }
    if (++head.at == of.size()) {
      heads.pop_back();
      continue;
    }
    if (of[head.at].number < head.number)
      throw_damaged(fmt::format("record {} comes after record {}", of[head.at].number, head.number));
    head.number = of[head.at].number;
    std::push_heap(heads.begin(), heads.end(), later);
  }
  return records;
}

}  // namespace anabranch
