#include "sidecar/log/topic_transactions.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "sidecar/log/crc32c.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;

// A partition that ends before what the transaction topic names: the brokers may show a commit in one topic before the
// other, for moments.
constexpr int end_waits_max = 120;
// So often a topic that was there is asked for before it is taken for deleted; each answer takes some 0.3 s.
constexpr int gone_asks_max = 35;
// Roughly what keeping a record takes beside its bytes.
constexpr size_t record_overhead = 400;
// What is left to read one by one, when the place has been halved down to it.
constexpr int64_t halve_until = 200;

std::string place_of(const std::string& topic, int32_t partition, int64_t offset) {
  return fmt::format("topic \"{}\", partition {}, offset {}", topic, partition, offset);
}

// The same error with the place it concerns.
[[noreturn]] void throw_at(const LogError& error, const std::string& place, const PartRecord* part) {
  const std::string unit =
      part == nullptr ? "" : fmt::format(", transaction {} that ends at {}", part->xid, part->end_lsn.to_string());
  throw LogError(error.kind(), fmt::format("{} ({}{})", error.what(), place, unit));
}

[[noreturn]] void throw_gap(const PartRecord& part, bool falls) {
  if (falls)
    throw LogError(
        LogError::Kind::gap,
        fmt::format("the source was adopted at {}: what the topics hold before that, up to {}, is not of the "
                    "server that goes on",
                    part.end_lsn.to_string(), part.previous_end_lsn.to_string()));
  throw LogError(LogError::Kind::gap,
                 fmt::format("what was written between {} and {} is not in the topics: its loss was accepted when the "
                             "source was adopted",
                             part.previous_end_lsn.to_string(), part.end_lsn.to_string()));
}

}  // namespace

TopicTransactions::TopicTransactions(TopicReader& reader, TopicTransactionsOptions options, Lsn from,
                                     std::optional<int64_t> offset)
    : reader_(reader),
      options_(std::move(options)),
      from_(from),
      offset_(offset),
      relations_(reader, options_.relation_topic) {}

std::optional<TransactionPiece> TopicTransactions::next(milliseconds wait, const WantedColumns& wanted) {
  if (!placed() && !find_place()) return std::nullopt;
  if (whole_ == 0 && !read_ahead(wait)) return std::nullopt;
  while (ahead_.front().content && !options_.everything) {
    // Rows that existed are no changes: a copy is filled from the tables.
    for (const SpanRecord& span : ahead_.front().spans) reader_.release(span.topic, span.partition);
    ahead_.pop_front();
    if (--whole_ == 0) return std::nullopt;
  }
  const PartRecord& part = ahead_.front();
  TransactionPiece piece;
  try {
    piece = assemble(part, wanted);
  } catch (const LogError& error) {
    throw_at(error, place_of(options_.transaction_topic, 0, part.offset), &part);
  }
  ahead_.pop_front();
  --whole_;
  return piece;
}

// --- The place ------------------------------------------------------------------------------------------------------

bool TopicTransactions::find_place() {
  const std::string& topic = options_.transaction_topic;
  auto bounds = reader_.bounds(topic, 0);
  for (int asks = 1; !bounds && offset_ && asks < gone_asks_max; ++asks) bounds = reader_.bounds(topic, 0);
  if (!bounds) {
    if (!offset_) return false;  // nothing has been published yet
    throw LogError(LogError::Kind::gap,
                   fmt::format("topic \"{}\" does not exist any more: what was published after {} is gone", topic,
                               from_.to_string()));
  }
  if (offset_ && *offset_ >= bounds->first && *offset_ < bounds->end) {
    TopicRead read;
    const auto record = first_at(*offset_, *offset_, read);
    if (record && read_part(*record).end_lsn == from_) {
      next_offset_ = *offset_ + 1;
      last_end_ = from_;
      return true;
    }
  }
  if (options_.everything) {  // what was adopted is read, too
    next_offset_ = bounds->first;
    return true;
  }
  next_offset_ = halve(*bounds);
  if (!is_looked_at()) pass_falls(next_offset_, std::min(bounds->end, next_offset_ + 2 * halve_until));
  return true;
}

// Every record before the result ends at or before P, or stands before a gap that falls back behind it; what comes from
// there on is few of those, then the others. From the end of the topic, since P mostly is near it, and what stands
// before a fall may have any position.
int64_t TopicTransactions::halve(TopicReader::Bounds bounds) {
  auto [low, high] = bounds;
  std::optional<Lsn> high_end;
  if (high - low > halve_until) high_end = last_end_in(bounds);
  int64_t step = halve_until;
  bool found = false;
  while (high - low > halve_until) {
    const int64_t half = (high - low) / 2;
    const int64_t middle = found ? low + half : high - std::min(half, step);
    step *= 2;
    TopicRead read;
    const auto record = first_at(middle, high - 1, read);
    if (!record) {
      high = middle;
      continue;
    }
    const Lsn end = read_part(*record).end_lsn;
    if (end <= from_ || (high_end->valid() && end > *high_end)) {
      found = true;
      low = record->offset + 1;
    } else {
      high = middle;
      high_end = end;
    }
  }
  return low;
}

// Of the last record; invalid where only marks of transactions stand at the end.
Lsn TopicTransactions::last_end_in(TopicReader::Bounds bounds) {
  Lsn end;
  for_each_record(reader_, options_.transaction_topic, 0, std::max(bounds.first, bounds.end - halve_until), bounds.end,
                  [&](const TopicRecord& record) { end = read_part(record).end_lsn; });
  return end;
}

// Begins behind the last gap that falls to P or before it: what stands before it is of another history.
void TopicTransactions::pass_falls(int64_t begin, int64_t end) {
  Lsn before;
  for_each_record(reader_, options_.transaction_topic, 0, begin, end, [&](const TopicRecord& record) {
    const PartRecord part = read_part(record);
    if (part.gap && part.end_lsn <= from_ && (part.end_lsn < part.previous_end_lsn || part.end_lsn < before)) {
      next_offset_ = record.offset + 1;
      last_end_ = part.end_lsn;
    }
    before = part.end_lsn;
  });
}

// The first record from `offset` to `last`, if there is one; `read` keeps its bytes.
std::optional<TopicRecord> TopicTransactions::first_at(int64_t offset, int64_t last, TopicRead& read) {
  while (offset <= last) {
    read = reader_.read(options_.transaction_topic, 0, offset, last, topic_read_wait);
    if (!read.records.empty()) return read.records.front();
    if (read.at_end) break;
    offset = read.next;
  }
  return std::nullopt;
}

// --- The chain ------------------------------------------------------------------------------------------------------

// Reads until a whole unit is there. False: the topic has no more now.
bool TopicTransactions::read_ahead(milliseconds wait) {
  const std::string& topic = options_.transaction_topic;
  const TopicRead read = reader_.read(topic, 0, next_offset_, std::numeric_limits<int64_t>::max() - 1, wait);
  for (const TopicRecord& record : read.records) {
    try {
      take(read_part(record));
    } catch (const LogError& error) {
      throw_at(error, place_of(topic, 0, record.offset), nullptr);
    }
  }
  next_offset_ = read.next;
  return whole_ > 0;
}

// False: it is passed over.
bool TopicTransactions::take_gap(PartRecord& part) {
  if (whole_ < ahead_.size()) {
    for (size_t at = whole_; at < ahead_.size(); ++at)
      part.given_up.insert(part.given_up.end(), ahead_[at].spans.begin(), ahead_[at].spans.end());
    ahead_.resize(whole_);
    last_end_ = part.previous_end_lsn;
  }
  const bool falls = part.end_lsn < part.previous_end_lsn || part.end_lsn < last_end_;
  if (is_looked_at()) {
    if (!falls && !chained_ && part.end_lsn <= from_) return false;
    return true;
  }
  // Nothing is missing for whoever has all up to there.
  const bool reached = part.end_lsn <= (chained_ ? last_end_ : from_);
  if (falls || !reached) throw_gap(part, falls);
  return false;
}

void TopicTransactions::take(PartRecord part) {
  if (part.gap) {
    const bool handed_out = take_gap(part);
    last_end_ = part.end_lsn;
    if (!handed_out) return;
    chained_ = true;
    ahead_.push_back(std::move(part));
    whole_ = ahead_.size();
    return;
  }
  if (!chained_ && part.end_lsn <= from_) {
    if (part.end_lsn < last_end_)
      throw_damaged(fmt::format("the transaction that ends at {} comes after the one that ends at {}",
                                part.end_lsn.to_string(), last_end_.to_string()));
    last_end_ = part.end_lsn;
    return;
  }
  chain(part);
  const bool whole = part.end || part.content || part.is_position();
  ahead_.push_back(std::move(part));
  if (whole) whole_ = ahead_.size();
}

void TopicTransactions::chain(const PartRecord& part) {
  const bool within = whole_ < ahead_.size();  // the last part taken does not end its transaction
  if (within) return chain_part(part);
  if (part.content) return chain_content(part);
  if (!part.begin && !part.is_position()) {
    if (chained_)
      throw_damaged(fmt::format("part {} of transaction {} without the ones before it", part.part, part.xid));
    throw LogError(LogError::Kind::gap,
                   fmt::format("the topic begins in the middle of transaction {}, which ends at {}: retention has "
                               "removed what comes after {}",
                               part.xid, part.end_lsn.to_string(), from_.to_string()));
  }
  if (!chained_) {
    chain_first(part);
  } else if (part.end_lsn <= last_end_) {
    throw_damaged(fmt::format("the transaction that ends at {} comes after the one that ends at {}",
                              part.end_lsn.to_string(), last_end_.to_string()));
  } else if (part.previous_end_lsn != last_end_) {
    throw_damaged(
        fmt::format("the transaction that ends at {} names {} as the end of the one before it, which ended at {}",
                    part.end_lsn.to_string(), part.previous_end_lsn.to_string(), last_end_.to_string()));
  }
  chained_ = true;
  last_end_ = part.end_lsn;
}

// It belongs to the unit before it, and moves nothing.
void TopicTransactions::chain_content(const PartRecord& part) {
  if (!chained_) return chain_first(part);  // which says what is missing
  if (part.end_lsn != last_end_ || part.previous_end_lsn != last_end_)
    throw_damaged(fmt::format("rows that existed stand at {}, behind the transaction that ends at {}",
                              part.end_lsn.to_string(), last_end_.to_string()));
}

// Step 1: nothing lies between P and the first record after it.
void TopicTransactions::chain_first(const PartRecord& part) {
  if (!from_.valid() && is_looked_at()) return;  // from the beginning, whatever that is
  if (last_end_.valid() && part.previous_end_lsn != last_end_)
    throw_damaged(
        fmt::format("the transaction that ends at {} names {} as the end of the one before it, which ended at {}",
                    part.end_lsn.to_string(), part.previous_end_lsn.to_string(), last_end_.to_string()));
  if (!part.previous_end_lsn.valid())
    throw LogError(LogError::Kind::gap, fmt::format("publishing began at {}: what was written between {} and there is "
                                                    "not in the topics",
                                                    part.end_lsn.to_string(), from_.to_string()));
  if (part.previous_end_lsn > from_)
    throw LogError(LogError::Kind::gap, fmt::format("retention has removed what was written between {} and {} from the "
                                                    "topics",
                                                    from_.to_string(), part.previous_end_lsn.to_string()));
}

void TopicTransactions::chain_part(const PartRecord& part) {
  const PartRecord& before = ahead_.back();
  if (part.xid != before.xid || part.end_lsn != before.end_lsn || part.previous_end_lsn != before.previous_end_lsn ||
      part.commit_lsn != before.commit_lsn || part.begin || part.content || part.is_position())
    throw_damaged(fmt::format("transaction {} breaks off after part {}", before.xid, before.part));
  // A part may have no records: the end of a transaction whose rows were all in the part before, for one.
  uint64_t next_number = 1;
  for (auto at = ahead_.rbegin(); at != ahead_.rend() && at->end_lsn == part.end_lsn; ++at) {
    if (at->records == 0) continue;
    next_number = at->first_number + at->records;
    break;
  }
  if (part.part != before.part + 1 || (part.records > 0 && part.first_number != next_number))
    throw_damaged(
        fmt::format("part {} of transaction {}, from record {} on, follows part {}, which ends with record {}",
                    part.part, part.xid, part.first_number, before.part, next_number - 1));
}

// --- Rows -----------------------------------------------------------------------------------------------------------

TransactionPiece TopicTransactions::assemble(const PartRecord& part, const WantedColumns& wanted) {
  TransactionPiece piece;
  piece.xid = part.xid;
  piece.commit_time = part.commit_time;
  piece.commit_lsn = part.is_position() || part.content ? part.end_lsn : part.commit_lsn;
  piece.origin = part.origin;
  piece.unit_end = part.end_lsn;
  piece.content = part.content;
  piece.first = part.begin || part.content || part.is_position();
  if (part.end || part.content || part.is_position()) piece.end_lsn = part.end_lsn;
  piece.first_number = part.first_number == 0 ? 0 : part.first_number - 1;
  piece.log_offset = part.offset;
  kept_.clear();
  last_relation_ = nullptr;

  if (options_.everything) {
    bool first = false;
    for (const SpanRecord& span : part.given_up) begin_of(span, first);
  }
  std::vector<NumberedChanges> runs;
  bool all = true;
  for (const SpanRecord& span : part.spans) {
    if (!is_wanted(span, wanted)) {
      reader_.release(span.topic, span.partition);
      all = false;
      continue;
    }
    try {
      runs.push_back(read_span(span, part, piece));
    } catch (const LogError& error) {
      throw_at(error, place_of(span.topic, span.partition, span.first_offset), nullptr);
    }
  }
  const uint64_t records = merge_partitions(std::move(runs), piece.changes);
  if (all && records != part.records) throw_damaged(fmt::format("{} records instead of {}", records, part.records));

  for (const uint64_t fingerprint : part.unselected) {
    Change& change = piece.changes.emplace_back();
    change.kind = Change::Kind::unselected;
    change.relation = keep_relation(fingerprint, piece);
  }
  piece.bytes += sizeof(TransactionPiece) + piece.changes.capacity() * sizeof(Change) + piece.origin.size() +
                 piece.storage.capacity() * sizeof(piece.storage[0]);
  return piece;
}

bool TopicTransactions::is_wanted(const SpanRecord& span, const WantedColumns& wanted) {
  if (options_.everything) return true;
  if (options_.shown) return options_.shown->empty() || options_.shown->contains(span.topic);
  if (wanted.contains(0) && !span.relations.empty()) return true;
  if (span.relations.empty()) {
    if (span.topic.starts_with(options_.message_prefix)) return false;
    throw LogError(LogError::Kind::unsupported,
                   fmt::format("the records in topic \"{}\" do not say which relation they are of", span.topic));
  }
  return std::any_of(span.relations.begin(), span.relations.end(), [&](uint64_t fingerprint) {
    const Relation& relation = *relations_.find(fingerprint);
    return wanted.contains(relation.oid) ||
           std::any_of(options_.always_wanted.begin(), options_.always_wanted.end(),
                       [&](const auto& name) { return name.first == relation.schema && name.second == relation.name; });
  });
}

// `first`: no transaction has named the partition before.
int64_t TopicTransactions::begin_of(const SpanRecord& span, bool& first) {
  if (!options_.everything) return span.first_offset;
  const auto [found, made] = ends_.try_emplace({span.topic, span.partition}, span.first_offset);
  first = made;
  if (made) {
    const auto bounds = reader_.bounds(span.topic, span.partition);
    if (!bounds) throw LogError(LogError::Kind::gap, "the topic does not exist");
    // Where it begins too late, reading says so.
    found->second = std::min(bounds->first, span.first_offset);
  } else if (span.first_offset < found->second) {
    throw_damaged(
        fmt::format("its records begin before offset {}, where those of the transaction before it end", found->second));
  }
  return std::exchange(found->second, span.last_offset + 1);
}

NumberedChanges TopicTransactions::read_span(const SpanRecord& span, const PartRecord& part, TransactionPiece& piece) {
  NumberedChanges run;
  Crc32c crc;
  uint64_t count = 0;
  const std::string lsn = part.end_lsn.to_string();
  std::shared_ptr<const std::string> prefix;  // of messages
  if (span.relations.empty() && span.topic.starts_with(options_.message_prefix)) {
    prefix = std::make_shared<const std::string>(span.topic.substr(options_.message_prefix.size()));
    piece.storage.push_back(prefix);
  }
  bool first = false;
  int64_t next = begin_of(span, first);
  for (int end_waits = 0; next <= span.last_offset;) {
    const TopicRead read = reader_.read(span.topic, span.partition, next, span.last_offset, topic_read_wait);
    if (!read.records.empty()) piece.storage.push_back(read.storage);
    for (const TopicRecord& record : read.records) {
      if (record.offset < span.first_offset) {
        const auto of = Lsn::parse(record.headers.lsn);
        if (first && of && *of <= from_) continue;
        throw_damaged(fmt::format("the record at offset {} belongs to no transaction", record.offset));
      }
      crc.add(record.value);
      ++count;
      add_record(record, part, lsn, prefix ? *prefix : std::string_view(), piece, run);
    }
    if (read.next > next) {
      next = read.next;
      end_waits = 0;
    } else if (read.at_end && ++end_waits >= end_waits_max) {
      throw_damaged(
          fmt::format("the partition ends at offset {}, and should hold records up to {}", next, span.last_offset));
    }
  }
  if (count != span.count)
    throw_damaged(fmt::format("{} records up to offset {} instead of {}", count, span.last_offset, span.count));
  if (sliced_) throw_damaged(fmt::format("record {} breaks off after slice {}", sliced_number_, slice_.slice));
  if (crc.value() != span.crc)
    throw_damaged(fmt::format("checksum {:08x} of the records up to offset {} instead of {:08x}", crc.value(),
                              span.last_offset, span.crc));
  return run;
}

void TopicTransactions::add_record(const TopicRecord& record, const PartRecord& part, const std::string& lsn,
                                   std::string_view prefix, TransactionPiece& piece, NumberedChanges& run) {
  try {
    if (!record.has_value) throw_damaged("a record without a value");
    const RecordHeaders& headers = record.headers;
    if (headers.lsn != lsn) throw_damaged(fmt::format("a record of the transaction that ends at \"{}\"", headers.lsn));
    if ((headers.op == "r") != part.content)
      throw_damaged(part.content ? "a change among rows that existed" : "a row that existed, in a transaction");
    const uint64_t number = read_number_header(headers.number);
    if (number < part.first_number || number - part.first_number >= part.records)
      throw_damaged(fmt::format("record {} in a part of records {} to {}", number, part.first_number,
                                part.first_number + part.records - 1));
    const Relation* relation =
        headers.relation.empty() ? nullptr : keep_relation(read_fingerprint_header(headers.relation), piece);
    const std::string_view value = whole_value(record, number, piece);
    piece.bytes += record.value.size() + record.key.size() + record_overhead;
    if (sliced_) return;  // more of it is to come
    if (headers.op == "m" && !options_.everything) {
      run.push_back({number, message_of(record, prefix, value, piece)});
      return;
    }
    if (options_.everything) {
      row_.operation = headers.op == "t" ? RowOperation::truncate : RowOperation::message;
    } else {
      read_topic_row(value, row_);
    }
    run.push_back({number, change_of(row_, relation)});
    if (run.back().change.details) piece.bytes += sizeof(ChangeDetails);
  } catch (const LogError& error) {
    throw LogError(error.kind(), fmt::format("{}, at offset {}", error.what(), record.offset));
  }
}

// A value that was too large for one record comes in slices, which follow each other directly.
std::string_view TopicTransactions::whole_value(const TopicRecord& record, uint64_t number, TransactionPiece& piece) {
  if (record.headers.fragment.empty()) {
    if (sliced_) throw_damaged(fmt::format("record {} breaks off after slice {}", sliced_number_, slice_.slice));
    return record.value;
  }
  const FragmentPlace place = read_fragment_header(record.headers.fragment);
  const bool follows = sliced_ != nullptr && number == sliced_number_ && place.slices == slice_.slices;
  if (place.slice != (follows ? slice_.slice + 1 : 1) || (sliced_ && !follows))
    throw_damaged(fmt::format("slice {} of record {} does not follow the one before it", place.slice, number));
  if (!follows) sliced_ = std::make_shared<std::string>();
  sliced_->append(record.value);
  sliced_number_ = number;
  slice_ = place;
  if (place.slice < place.slices) return {};
  piece.storage.push_back(sliced_);
  return *std::exchange(sliced_, nullptr);
}

// The prefix as it was emitted: a key stands behind it.
Change TopicTransactions::message_of(const TopicRecord& record, std::string_view prefix, std::string_view content,
                                     TransactionPiece& piece) {
  Change change;
  change.kind = Change::Kind::message;
  change.details = std::make_unique<ChangeDetails>();
  ChangeDetails& details = *change.details;
  details.transactional = record.headers.xid != "0";
  details.prefix = prefix;
  details.content = content;
  if (record.key.data() != nullptr) {
    const auto whole = std::make_shared<const std::string>(fmt::format("{}:{}", prefix, record.key));
    piece.storage.push_back(whole);
    details.prefix = *whole;
  }
  return change;
}

const Relation* TopicTransactions::keep_relation(uint64_t fingerprint, TransactionPiece& piece) {
  if (last_relation_ != nullptr && last_fingerprint_ == fingerprint) return last_relation_;
  const std::shared_ptr<const Relation>& relation = relations_.find(fingerprint);
  if (std::find(kept_.begin(), kept_.end(), relation.get()) == kept_.end()) {
    kept_.push_back(relation.get());
    piece.storage.push_back(relation);
  }
  last_fingerprint_ = fingerprint;
  last_relation_ = relation.get();
  return last_relation_;
}

}  // namespace anabranch
