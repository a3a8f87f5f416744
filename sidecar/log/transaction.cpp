#include "sidecar/log/transaction.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "decoder/wire.hpp"

namespace anabranch {
namespace {

[[noreturn]] void throw_damaged(std::string_view what) {
  throw LogError(LogError::Kind::damaged, fmt::format("damaged stream: {}", what));
}

// Whether somebody wants this column. A decoder that does not say the relation makes us ask for any.
bool is_wanted(const WantedColumns& wanted, uint32_t relation, uint32_t number) {
  if (wanted.contains(0)) return true;
  const auto has = [number](const std::vector<uint32_t>& columns) {
    return std::find(columns.begin(), columns.end(), number) != columns.end();
  };
  if (relation != 0) {
    const auto columns = wanted.find(relation);
    return columns != wanted.end() && has(columns->second);
  }
  return std::any_of(wanted.begin(), wanted.end(), [&](const auto& columns) { return has(columns.second); });
}

ChangeDetails& details_of(Change& change) {
  if (!change.details) change.details = std::make_unique<ChangeDetails>();
  return *change.details;
}

}  // namespace

const Column* Relation::column(uint32_t number) const {
  const auto at = std::lower_bound(columns.begin(), columns.end(), number,
                                   [](const Column& column, uint32_t wanted) { return column.number < wanted; });
  return at != columns.end() && at->number == number ? &*at : nullptr;
}

std::string Relation::qualified_name() const {
  const auto append = [](std::string& text, const std::string& part) {
    const bool plain = !part.empty() && !(part[0] >= '0' && part[0] <= '9') &&
                       std::all_of(part.begin(), part.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9'); });
    if (plain) {
      text += part;
      return;
    }
    text += '"';
    for (const char c : part) text.append(c == '"' ? 2 : 1, c);
    text += '"';
  };
  std::string text;
  append(text, schema);
  text += '.';
  append(text, name);
  return text;
}

TransactionReader::TransactionReader(Lsn from, size_t value_bytes_max)
    : from_(from), value_bytes_max_(value_bytes_max) {}

void TransactionReader::read(std::string_view frame, std::shared_ptr<const void> storage, const WantedColumns& wanted,
                             std::vector<TransactionPiece>& pieces) {
  wanted_ = &wanted;
  storage_ = std::move(storage);
  pieces_ = &pieces;
  try {
    FrameReader records(frame);
    while (const auto record = records.next()) read_record(*record);
    close_piece();
  } catch (const LogError& error) {
    throw_with_position(error);
  }
  storage_.reset();
}

void TransactionReader::throw_with_position(const LogError& error) const {
  const std::string place =
      open_ ? fmt::format("in transaction {}, whose commit is at {}", begun_.xid, begun_.commit_lsn.to_string())
            : fmt::format("after position {}", last_end_.to_string());
  const char* remedy = error.kind() == LogError::Kind::unsupported
                           ? "install the same version of the server's libraries and of this program"
                           : "nothing of it was applied; start again, and if it stays, install the same version of the "
                             "server's libraries and of this program";
  throw LogError(error.kind(), fmt::format("{} ({}); {}", error.what(), place, remedy));
}

void TransactionReader::read_record(const RecordView& record) {
  if (!fragments_.empty() && record.kind != RecordKind::fragment && record.kind != RecordKind::insert &&
      record.kind != RecordKind::update && record.kind != RecordKind::remove)
    throw_damaged("fragments without the change they belong to");
  if (record.kind == RecordKind::begin) begin(record.body);
  if (!open_) {
    if (record.kind != RecordKind::message) throw_damaged("a record outside of a transaction");
    return message(record.body);
  }
  if (record.kind == RecordKind::commit) return commit(record.body);
  crc_.add(record.payload);
  if (dropped_ && record.kind != RecordKind::relation && record.kind != RecordKind::unselected) return;
  const bool is_change =
      record.kind != RecordKind::begin && record.kind != RecordKind::relation && record.kind != RecordKind::fragment;
  if (!dropped_ && is_change && piece_ == nullptr) open_piece();
  if (piece_ != nullptr) piece_->bytes += record.payload.size();
  switch (record.kind) {
    case RecordKind::relation: {
      auto relation = std::make_shared<const Relation>(read_relation(record.body));
      const uint32_t oid = relation->oid;
      relations_[oid] = {std::move(relation), 0};
      last_relation_ = nullptr;
      break;
    }
    case RecordKind::insert:
    case RecordKind::update:
    case RecordKind::remove:
      row(record.kind, record.body);
      break;
    case RecordKind::truncate:
      truncate(record.body);
      break;
    case RecordKind::message:
      message(record.body);
      break;
    case RecordKind::unselected:
      unselected(record.body);
      break;
    case RecordKind::fragment:
      fragment(record.body);
      break;
    case RecordKind::begin:
    case RecordKind::commit:
      break;
  }
}

void TransactionReader::begin(std::string_view body) {
  if (open_) throw_damaged("a transaction begins within another one");
  begun_ = read_begin(body);
  origin_ = begun_.origin;
  begun_.origin = {};
  open_ = true;
  dropped_ = begun_.commit_lsn < from_;
  changes_ = rejected_ = 0;
  sent_piece_ = false;
  crc_ = Crc32c();
}

void TransactionReader::commit(std::string_view body) {
  const CommitRecord commit = read_commit(body);
  if (commit.end_lsn <= begun_.commit_lsn) throw_damaged("a transaction that ends before its commit starts");
  if (begun_.end_lsn.valid() && begun_.end_lsn != commit.end_lsn)
    throw_damaged("a transaction that ends elsewhere than it said");
  if (commit.crc != crc_.value())
    throw_damaged(fmt::format("checksum {:08x} of the transaction instead of {:08x}", crc_.value(), commit.crc));
  if (!dropped_) {
    if (commit.changes != changes_)
      throw_damaged(fmt::format("{} changes of the transaction instead of {}", changes_, commit.changes));
    if (piece_ == nullptr) open_piece();
    piece_->end_lsn = commit.end_lsn;
    close_piece();
  }
  open_ = false;
  last_end_ = commit.end_lsn;
}

void TransactionReader::row(RecordKind kind, std::string_view body) {
  read_row(kind, body, row_);
  const Relation* relation = keep_relation(row_.relation);
  Change& change = add_change(kind == RecordKind::insert   ? Change::Kind::insert
                              : kind == RecordKind::update ? Change::Kind::update
                                                           : Change::Kind::remove);
  change.relation = relation;
  change.before_kind = row_.before_kind;
  change.before = row_.before;
  change.after = row_.after;
  if (row_.has_details) {
    ChangeDetails& details = details_of(change);
    details.unchanged = row_.unchanged;
    change.before = put_together(row_.before_gaps, true, row_.before, details.before_gaps);
    change.after = put_together(row_.after_gaps, false, row_.after, details.after_gaps);
    piece_->bytes += sizeof(ChangeDetails) + details.unchanged.size() * sizeof(uint32_t) +
                     (details.before_gaps.size() + details.after_gaps.size()) * 2 * sizeof(Gap);
  }
  if (std::any_of(fragments_.begin(), fragments_.end(), [](const FragmentedValue& value) { return !value.used; }))
    throw_damaged("fragments of a column that their change does not name");
  fragments_.clear();
}

void TransactionReader::truncate(std::string_view body) {
  const TruncateRecord record = read_truncate(body);
  if (record.relations.empty()) throw_damaged("a truncate of nothing");
  Change& change = add_change(Change::Kind::truncate);
  ChangeDetails& details = details_of(change);
  details.cascade = record.cascade;
  details.restart_identity = record.restart_identity;
  for (const auto& entry : record.relations) details.truncated.push_back({keep_relation(entry.relation), entry.leaf});
  piece_->bytes += sizeof(ChangeDetails) + details.truncated.size() * sizeof(Truncated);
}

void TransactionReader::message(std::string_view body) {
  const MessageRecord record = read_message(body);
  if (record.transactional != open_) throw_damaged("a message on the wrong side of a transaction's borders");
  if (!open_) {
    // A unit of its own, at a position of its own.
    if (!record.lsn.valid()) throw_damaged("a message without a position");
    if (record.lsn <= from_) return;
    begun_ = {};
    begun_.commit_lsn = begun_.end_lsn = record.lsn;
    origin_.clear();
    changes_ = rejected_ = 0;
    sent_piece_ = false;
    open_piece();
    piece_->end_lsn = record.lsn;
    piece_->bytes += body.size();
  }
  ChangeDetails& details = details_of(add_change(Change::Kind::message));
  details.transactional = record.transactional;
  details.prefix = record.prefix;
  details.content = record.content;
  details.omitted_bytes = record.omitted_bytes;
  details.prefix_bytes = record.prefix_bytes;
  if (!record.reason.empty()) {
    details.sqlstate = record.sqlstate;
    details.reason = record.reason;
    details.rejected = ++rejected_;
    piece_->has_rejected = true;
  }
  piece_->bytes += sizeof(ChangeDetails);
  if (!open_) {
    close_piece();
    last_end_ = record.lsn;
  }
}

void TransactionReader::unselected(std::string_view body) {
  const uint32_t oid = read_unselected(body);
  if (!relations_.contains(oid)) return;  // described before this session: nobody here has heard of it
  if (!dropped_) {
    const Relation* relation = keep_relation(oid);
    add_change(Change::Kind::unselected).relation = relation;
    --changes_;  // not among those that Commit counts
  }
  relations_.erase(oid);
  last_relation_ = nullptr;
}

void TransactionReader::fragment(std::string_view body) {
  const FragmentRecord record = read_fragment(body);
  if (fragments_.empty() || fragments_.back().received == fragments_.back().total) {
    if (record.offset != 0) throw_damaged("a value that does not start at its start");
    FragmentedValue& value = fragments_.emplace_back();
    value.before = record.before;
    value.number = record.number;
    value.total = record.total;
    uint64_t held = 0;
    for (const FragmentedValue& other : fragments_) held += other.kept ? other.total : 0;
    value.wanted = is_wanted(*wanted_, record.relation, record.number);
    value.kept = value.wanted && held <= value_bytes_max_ && record.total <= value_bytes_max_ - held;
    if (value.kept) value.bytes.reserve(record.total);
  }
  FragmentedValue& value = fragments_.back();
  if (record.before != value.before || record.number != value.number || record.total != value.total ||
      record.offset != value.received || record.data.empty() || record.data.size() > value.total - value.received)
    throw_damaged(fmt::format("the pieces of column {}'s value do not fit each other", value.number));
  value.received += record.data.size();
  if (value.kept) value.bytes += record.data;
}

std::string_view TransactionReader::put_together(const GapsRecord& gaps, bool before, std::string_view row,
                                                 std::vector<Gap>& unsent) {
  for (const OmittedColumn& omitted : gaps.omitted)
    unsent.push_back({omitted.number, std::string(omitted.sqlstate), std::string(omitted.reason)});
  std::vector<FragmentedValue*> values;
  size_t size = row.size();
  for (const uint32_t number : gaps.fragmented) {
    const auto value = std::find_if(fragments_.begin(), fragments_.end(), [&](const FragmentedValue& candidate) {
      return candidate.before == before && candidate.number == number && !candidate.used;
    });
    if (value == fragments_.end() || value->received != value->total)
      throw_damaged(fmt::format("column {}'s value is not whole", number));
    value->used = true;
    if (value->kept) {
      values.push_back(&*value);
      size += wire::bytes_field_size(number, value->bytes.size());
    } else {
      unsent.push_back(
          {number, "",
           value->wanted
               ? fmt::format("the value of {} bytes is larger than the {} bytes that are put together for one change",
                             value->total, value_bytes_max_)
               : fmt::format("a value of {} bytes that no copy asked for", value->total)});
    }
  }
  if (values.empty()) return row;

  // The row again, with the large values between its fields, in ascending order.
  std::sort(values.begin(), values.end(), [](const auto* a, const auto* b) { return a->number < b->number; });
  const auto whole = std::make_shared<std::string>(size, '\0');
  wire::Writer writer(whole->data());
  auto next = values.begin();
  const auto write_until = [&](uint32_t number) {
    for (; next != values.end() && (*next)->number < number; ++next) {
      writer.bytes_field((*next)->number, (*next)->bytes.data(), (*next)->bytes.size());
      std::string().swap((*next)->bytes);
    }
  };
  wire::Reader reader(row);
  wire::Field field;
  size_t at = 0;
  while (reader.next(field)) {
    write_until(field.number);
    const size_t end = row.size() - reader.left();
    writer.raw(row.data() + at, end - at);
    at = end;
  }
  if (reader.damaged()) throw_damaged("a row breaks off");
  write_until(wire::field_number_max + 1);
  piece_->bytes += size;
  piece_->storage.push_back(whole);
  return *whole;
}

void TransactionReader::open_piece() {
  TransactionPiece& piece = pieces_->emplace_back();
  piece.xid = begun_.xid;
  piece.commit_time = begun_.commit_time;
  piece.commit_lsn = begun_.commit_lsn;
  piece.origin = origin_;
  piece.unit_end = begun_.end_lsn;
  piece.first = !sent_piece_;
  piece.first_number = changes_;
  piece.storage.push_back(storage_);
  sent_piece_ = true;
  piece_ = &piece;
  ++piece_serial_;
  last_relation_ = nullptr;
}

void TransactionReader::close_piece() {
  if (piece_ == nullptr) return;
  piece_->bytes += sizeof(TransactionPiece) + piece_->changes.capacity() * sizeof(Change) + piece_->origin.size() +
                   piece_->storage.capacity() * sizeof(piece_->storage[0]);
  piece_ = nullptr;
}

Change& TransactionReader::add_change(Change::Kind kind) {
  ++changes_;
  Change& change = piece_->changes.emplace_back();
  change.kind = kind;
  return change;
}

const Relation* TransactionReader::keep_relation(uint32_t oid) {
  if (last_relation_ != nullptr && last_oid_ == oid) return last_relation_;
  const auto known = relations_.find(oid);
  if (known == relations_.end()) throw_damaged(fmt::format("a change of relation {}, which was not described", oid));
  if (known->second.kept_in != piece_serial_) {
    piece_->storage.push_back(known->second.relation);
    known->second.kept_in = piece_serial_;
  }
  last_oid_ = oid;
  last_relation_ = known->second.relation.get();
  return last_relation_;
}

}  // namespace anabranch
