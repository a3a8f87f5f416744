#include "sidecar/apply/consolidate.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "sidecar/apply/arena.hpp"
#include "sidecar/apply/ddl_event.hpp"
#include "sidecar/apply/delta.hpp"
#include "sidecar/apply/projection.hpp"
#include "sidecar/apply/row_table.hpp"

namespace anabranch {
namespace {

constexpr const char* unidentifiable = "AN003";
constexpr const char* definition_stale = "AN004";

// One source of a copy, ready for rows.
struct Source {
  explicit Source(const CopySource& given, bool rows_class)
      : plan(given), columns(given.columns), key(given.key), by_key(rows_class && !given.key.empty()) {}

  CopySource plan;
  Projection columns, key;
  bool by_key;  // key mode

  // What the replica identity of the relation below covers; asked for seldom, and forgotten with the piece.
  const Relation* relation = nullptr;
  bool columns_in_identity = false, key_in_identity = false;
};

// One copy, and its net changes so far.
struct Copy {
  explicit Copy(CopyPlan given) : plan(std::move(given)) {
    for (const CopySource& source : plan.sources) sources.emplace_back(source, plan.rows_class);
  }

  CopyPlan plan;
  std::vector<Source> sources;
  Arena arena;
  ImageTable images;
  KeyTable keys;
  bool truncate = false;
  std::optional<CopyProblem> problem;
  bool problem_taken = false;

  void forget_rows() {
    images.clear();
    keys.clear();
    arena.reset();
  }
  void fail(const char* state, const char* sqlstate, std::string reason) {
    if (problem) return;
    problem = CopyProblem{state, sqlstate, std::move(reason)};
    truncate = false;
    forget_rows();
  }
};

bool covers(const Relation& relation, const std::vector<uint32_t>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [&](uint32_t number) {
    const Column* column = relation.column(number);
    return column != nullptr && column->in_identity;
  });
}

std::string column_name(const Relation& relation, uint32_t number) {
  const Column* column = relation.column(number);
  return column != nullptr ? fmt::format("\"{}\"", column->name) : fmt::format("number {}", number);
}

std::string remedy(const Relation& relation) {
  return fmt::format("run ALTER TABLE {} REPLICA IDENTITY FULL, then resume the copy", relation.qualified_name());
}

}  // namespace

struct Consolidator::Impl {
  struct Route {
    uint32_t copy, source;  // indexes
  };

  ConsolidateOptions options;
  std::vector<Copy> copies;
  std::unordered_map<uint32_t, std::vector<Route>> routes;  // by relation
  std::vector<DdlEvent> ddl;
  uint64_t changes = 0;
  std::string scratch_row, scratch_old, scratch_key;

  // The piece that is being added.
  const TransactionPiece* piece = nullptr;

  void add_change(const Change& change);
  void add_ddl(const Change& change);
  void add_truncate(const Change& change);
  void add_row(Copy& copy, Source& source, const Change& change);
  void add_image(Copy& copy, Source& source, const Change& change);
  void add_key(Copy& copy, Source& source, const Change& change);

  // Whether the old row that came holds what the copy needs; a problem of the copy if not.
  bool old_row_suffices(Copy& copy, Source& source, const Change& change, bool covered);
  bool without_gaps(Copy& copy, const Source& source, const Change& change);
  void look_at_identity(Source& source, const Relation& relation);
  // The new row's image at `out`; nullopt, and a problem of the copy, when an unchanged value is not at hand.
  std::optional<size_t> new_image(Copy& copy, const Source& source, const Change& change, char* out);
  std::string place() const {
    return fmt::format("in transaction {}, whose commit is at {}", piece->xid, piece->commit_lsn.to_string());
  }
  uint64_t xid_for(const Copy& copy) const { return copy.plan.with_xid ? piece->xid : 0; }
};

void Consolidator::Impl::add_change(const Change& change) {
  switch (change.kind) {
    case Change::Kind::message:
      return;
    case Change::Kind::truncate:
      ++changes;
      return add_truncate(change);
    case Change::Kind::unselected:
      break;
    default:
      ++changes;
      if (is_ddl_relation(*change.relation)) return add_ddl(change);
  }
  const auto route = routes.find(change.relation->oid);
  if (route == routes.end()) return;
  for (const Route& to : route->second) {
    Copy& copy = copies[to.copy];
    // A transaction ends at or before a recorded position exactly when its commit record starts before it.
    if (copy.problem || piece->commit_lsn < copy.plan.position) continue;
    if (change.kind == Change::Kind::unselected)
      copy.fail(
          "stale", definition_stale,
          fmt::format("{} has left the publication {}; add it again (ALTER PUBLICATION ... ADD TABLE), then resume "
                      "the copy",
                      change.relation->qualified_name(), place()));
    else
      add_row(copy, copy.sources[to.source], change);
  }
}

void Consolidator::Impl::add_row(Copy& copy, Source& source, const Change& change) {
  if (change.details && !without_gaps(copy, source, change)) return;
  if (source.by_key)
    add_key(copy, source, change);
  else
    add_image(copy, source, change);
}

void Consolidator::Impl::look_at_identity(Source& source, const Relation& relation) {
  if (source.relation == &relation) return;
  source.relation = &relation;
  source.columns_in_identity = covers(relation, source.plan.columns);
  source.key_in_identity = covers(relation, source.plan.key);
}

bool Consolidator::Impl::old_row_suffices(Copy& copy, Source& source, const Change& change, bool covered) {
  // An update's missing old row says that the identity did not change; a delete's says nothing.
  if (covered && (change.kind == Change::Kind::update || change.before_kind == BeforeKind::key)) return true;
  if (source.columns.empty()) return true;  // a mere count of rows: any row will do
  copy.fail(
      "stale", unidentifiable,
      fmt::format("{} of {} came with {} {}, but the copy needs more{}; {}",
                  change.kind == Change::Kind::update ? "an update" : "a delete", change.relation->qualified_name(),
                  change.before_kind == BeforeKind::key ? "only the key of its old row" : "no old row", place(),
                  source.plan.full_old_rows ? " (the replica identity was FULL when it was defined)" : "",
                  remedy(*change.relation)));
  return false;
}

bool Consolidator::Impl::without_gaps(Copy& copy, const Source& source, const Change& change) {
  for (const auto* gaps : {&change.details->before_gaps, &change.details->after_gaps})
    for (const Gap& gap : *gaps) {
      if (!source.columns.contains(gap.number)) continue;
      copy.fail(
          "stale", unidentifiable,
          fmt::format("the value of column {} of {} did not arrive {}: {}{}; make it smaller or leave it out of the "
                      "definition, then resume the copy",
                      column_name(*change.relation, gap.number), change.relation->qualified_name(), place(), gap.reason,
                      gap.sqlstate.empty() ? "" : fmt::format(" (SQLSTATE {})", gap.sqlstate)));
      return false;
    }
  return true;
}

std::optional<size_t> Consolidator::Impl::new_image(Copy& copy, const Source& source, const Change& change, char* out) {
  if (!change.details || change.details->unchanged.empty()) return source.columns.project(change.after, out);
  uint32_t missing = 0;
  const auto size = source.columns.merge(change.after, change.before, change.details->unchanged, out, missing);
  if (!size)
    copy.fail("stale", unidentifiable,
              fmt::format("column {} of {} is kept out of line and was not sent with an update {}; {}",
                          column_name(*change.relation, missing), change.relation->qualified_name(), place(),
                          remedy(*change.relation)));
  return size;
}

void Consolidator::Impl::add_image(Copy& copy, Source& source, const Change& change) {
  const uint32_t number = source.plan.ordinal;
  const uint64_t xid = xid_for(copy);
  if (change.kind == Change::Kind::insert) {
    char* room = copy.arena.reserve(change.after.size());
    const size_t size = source.columns.project(change.after, room);
    copy.images.add(copy.arena, {room, size}, number, xid, +1);
    return;
  }
  bool has_old = change.before_kind == BeforeKind::full;
  if (!has_old) {
    look_at_identity(source, *change.relation);
    if (!old_row_suffices(copy, source, change, source.columns_in_identity)) return;
    has_old = change.before_kind == BeforeKind::key || change.kind == Change::Kind::remove;
    if (!has_old) return;  // all that the copy references is in the identity, which did not change
  }
  char* room = copy.arena.reserve(2 * change.before.size() + change.after.size());
  const size_t old_size = source.columns.project(change.before, room);
  if (change.kind == Change::Kind::update) {
    const auto new_size = new_image(copy, source, change, room + old_size);
    if (!new_size) return;
    const std::string_view before(room, old_size), after(room + old_size, *new_size);
    if (before == after) return;
    copy.images.add(copy.arena, before, number, xid, -1);
    copy.images.add(copy.arena, after, number, xid, +1);
  } else {
    copy.images.add(copy.arena, {room, old_size}, number, xid, -1);
  }
}

void Consolidator::Impl::add_key(Copy& copy, Source& source, const Change& change) {
  const uint32_t number = source.plan.ordinal;
  const uint64_t xid = xid_for(copy);
  if (change.kind != Change::Kind::insert && change.before_kind != BeforeKind::full) {
    look_at_identity(source, *change.relation);
    if (!old_row_suffices(copy, source, change, source.key_in_identity)) return;
  }
  scratch_old.resize(change.before.size());
  std::string_view old_key;
  if (change.before_kind != BeforeKind::none)
    old_key = {scratch_old.data(), source.key.project(change.before, scratch_old.data())};
  if (change.kind == Change::Kind::remove) {
    copy.keys.remove(copy.arena, old_key, number, xid);
    return;
  }
  scratch_row.resize(change.before.size() + change.after.size());
  const auto size = new_image(copy, source, change, scratch_row.data());
  if (!size) return;
  const std::string_view row(scratch_row.data(), *size);
  scratch_key.resize(row.size());
  const std::string_view key(scratch_key.data(), source.key.project(row, scratch_key.data()));
  const bool insert = change.kind == Change::Kind::insert;
  const bool moved = !insert && change.before_kind != BeforeKind::none && old_key != key;
  if (moved) copy.keys.remove(copy.arena, old_key, number, xid);
  if (change.before_kind == BeforeKind::full && !moved) {
    scratch_old.resize(change.before.size());
    if (row == std::string_view(scratch_old.data(), source.columns.project(change.before, scratch_old.data()))) return;
  }
  copy.keys.put(copy.arena, key, row, number, xid, insert || moved);
}

void Consolidator::Impl::add_truncate(const Change& change) {
  for (Copy& copy : copies) {
    if (copy.problem || piece->commit_lsn < copy.plan.position) continue;
    size_t emptied = 0;
    const Truncated* part = nullptr;  // what the copy cannot follow, if anything
    for (const Source& source : copy.sources) {
      bool whole = false;
      for (const Truncated& truncated : change.details->truncated) {
        if (truncated.relation->oid != source.plan.relation) continue;
        whole = whole || truncated.leaf == 0;
        part = &truncated;
      }
      if (whole) ++emptied;
    }
    if (part == nullptr) continue;
    const std::string name = part->relation->qualified_name();
    if (copy.plan.with_xid) {
      // Not MVCC-safe: whether a chunk was read before or after it cannot be told from its snapshot.
      copy.fail("filling", "", fmt::format("{} was truncated {}: the fill begins again", name, place()));
    } else if (emptied == copy.sources.size()) {
      copy.forget_rows();
      copy.truncate = true;
    } else {
      copy.fail(
          "stale", definition_stale,
          fmt::format("{} {} was truncated {}, which removes rows without naming them; resume the copy to fill it "
                      "anew",
                      part->leaf != 0 ? "a partition of" : "of the copy's sources only", name, place()));
    }
  }
}

void Consolidator::Impl::add_ddl(const Change& change) {
  if (change.kind != Change::Kind::insert) return;  // the row is deleted as soon as it is written
  DdlEvent event = read_ddl_event(change);
  event.xid = piece->xid;
  event.commit_lsn = piece->commit_lsn;
  for (Copy& copy : copies) {
    if (piece->commit_lsn < copy.plan.position) continue;
    if (std::find(event.stale.begin(), event.stale.end(), copy.plan.copy) == event.stale.end()) continue;
    copy.fail("stale", definition_stale,
              event.reason.empty() ? fmt::format("{} {} {}", event.tag, event.identity, place()) : event.reason);
  }
  ddl.push_back(std::move(event));
}

Consolidator::Consolidator(ConsolidateOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}

Consolidator::~Consolidator() = default;
Consolidator::Consolidator(Consolidator&&) noexcept = default;
Consolidator& Consolidator::operator=(Consolidator&&) noexcept = default;

void Consolidator::plan(std::vector<CopyPlan> plans) {
  if (!empty()) throw std::logic_error("plan() of a consolidator that holds changes");
  impl_->copies.clear();
  impl_->routes.clear();
  for (CopyPlan& plan : plans) {
    const auto copy = static_cast<uint32_t>(impl_->copies.size());
    for (uint32_t source = 0; source < plan.sources.size(); ++source)
      impl_->routes[plan.sources[source].relation].push_back({copy, source});
    impl_->copies.emplace_back(std::move(plan));
  }
}

void Consolidator::add(const TransactionPiece& piece) {
  impl_->piece = &piece;
  for (Copy& copy : impl_->copies)
    for (Source& source : copy.sources) source.relation = nullptr;
  for (const Change& change : piece.changes) impl_->add_change(change);
  impl_->piece = nullptr;
}

size_t Consolidator::bytes() const {
  size_t bytes = 0;
  for (const Copy& copy : impl_->copies) bytes += copy.arena.bytes() + copy.images.bytes() + copy.keys.bytes();
  return bytes;
}

uint64_t Consolidator::rows() const {
  uint64_t rows = 0;
  for (const Copy& copy : impl_->copies) rows += copy.images.entries().size() + copy.keys.entries().size();
  return rows;
}

bool Consolidator::empty() const {
  return impl_->ddl.empty() && std::all_of(impl_->copies.begin(), impl_->copies.end(), [](const Copy& copy) {
           return copy.images.entries().empty() && copy.keys.entries().empty() && !copy.truncate &&
                  (!copy.problem || copy.problem_taken);
         });
}

uint64_t Consolidator::changes() const {
  return impl_->changes;
}

Consolidated Consolidator::take() {
  Consolidated result;
  for (Copy& copy : impl_->copies) {
    if (copy.problem) {
      if (!copy.problem_taken) result.copies.push_back({copy.plan.copy, {}, 0, copy.problem});
      copy.problem_taken = true;
      continue;
    }
    DeltaWriter writer(copy.truncate, impl_->options.delta_bytes_max);
    for (const ImageTable::Entry& entry : copy.images.entries())
      writer.add({entry.source, entry.weight, {entry.image, entry.size}, entry.xid});
    for (const KeyTable::Entry& entry : copy.keys.entries()) {
      if (entry.present)
        writer.add({entry.source, +1, {entry.row, entry.row_size}, entry.xid});
      else if (!entry.born || copy.plan.with_xid)  // a chunk of the fill may have read a row that came and went
        writer.add({entry.source, -1, {entry.key, entry.key_size}, entry.xid});
    }
    CopyDelta delta{copy.plan.copy, {}, writer.rows(), std::nullopt};
    delta.deltas = writer.finish();
    copy.truncate = false;
    copy.forget_rows();
    if (!delta.deltas.empty()) result.copies.push_back(std::move(delta));
  }
  result.ddl.swap(impl_->ddl);
  std::swap(result.changes, impl_->changes);
  return result;
}

}  // namespace anabranch
