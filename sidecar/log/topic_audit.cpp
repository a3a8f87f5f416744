// Method:
//   1. The transaction topic is read once as it is now, to find where the audit can begin (retention removes whole
//      segments of each partition at its own time) and where it ends.
//   2. From there every transaction is put together, with all its rows: chain, counts, checksums, numbers and order are
//      checked as for any reader, and that no record lies between those of two transactions.
//   3. What is left in each partition must be of later transactions.
#include "sidecar/log/topic_audit.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace anabranch {
namespace {

// Step 1.
struct Extent {
  Lsn from;                       // the audit begins after this position
  std::optional<int64_t> offset;  // its record's place
  int64_t last = -1;              // offset of the record that ends the last whole unit
  Lsn last_lsn;                   // and its end
  uint64_t expired = 0, unfinished = 0, losses = 0;
  std::set<std::string> topics;
};

class Bounds {
 public:
  explicit Bounds(TopicReader& reader) : reader_(reader) {}
  // The first offset that is still there; 0 for a topic that is not there: reading it will say so.
  int64_t first(const std::string& topic, int32_t partition) {
    const auto [found, made] = first_.try_emplace({topic, partition}, 0);
    if (made) {
      const auto bounds = reader_.bounds(topic, partition);
      if (bounds) found->second = bounds->first;
    }
    return found->second;
  }

 private:
  TopicReader& reader_;
  std::map<std::pair<std::string, int32_t>, int64_t> first_;
};

// Takes the records of the transaction topic one by one.
class Survey {
 public:
  explicit Survey(TopicReader& reader) : bounds_(reader) {}

  void take(const PartRecord& part) {
    for (const SpanRecord& span : part.spans) {
      extent.topics.insert(span.topic);
      cut_ = cut_ || span.first_offset < bounds_.first(span.topic, span.partition);
    }
    if (part.gap && !first_) ++extent.losses;
    const bool begins = part.begin || part.content || part.is_position();
    if (first_ && !begins) cut_ = true;  // the parts before it are gone
    if (first_ && begins) {
      // Nothing is known of what came before. The topic's very first record is such a beginning.
      extent.from = part.previous_end_lsn.valid() ? part.previous_end_lsn : part.end_lsn;
      if (part.content) cut_ = true;  // and it goes with that
    }
    first_ = false;
    ++extent.unfinished;
    if (!part.end && !part.content && !part.is_position()) return;
    extent.unfinished = 0;
    ++units_;
    extent.last = part.offset;
    extent.last_lsn = part.end_lsn;
    if (cut_) {
      extent.expired = units_;
      extent.from = part.end_lsn;
      extent.offset = part.offset;
    }
    cut_ = false;
  }

  Extent extent;

 private:
  Bounds bounds_;
  bool first_ = true, cut_ = false;
  uint64_t units_ = 0;
};

Extent survey(TopicReader& reader, const std::string& topic, TopicReader::Bounds bounds) {
  Survey survey(reader);
  for_each_record(reader, topic, 0, bounds.first, bounds.end, [&](const TopicRecord& record) {
    try {
      survey.take(read_part(record));
    } catch (const LogError& error) {
      throw LogError(error.kind(), fmt::format("{} (topic \"{}\", offset {})", error.what(), topic, record.offset));
    }
  });
  return survey.extent;
}

// Step 3. `end`: up to where the partition has been accounted for.
void check_rest(TopicReader& reader, const std::string& topic, int32_t partition, int64_t end, Lsn from, Lsn last) {
  const auto bounds = reader.bounds(topic, partition);
  if (!bounds) throw LogError(LogError::Kind::gap, fmt::format("topic \"{}\" does not exist any more", topic));
  for_each_record(reader, topic, partition, std::max(end, bounds->first), bounds->end, [&](const TopicRecord& record) {
    const auto lsn = Lsn::parse(record.headers.lsn);
    // In a partition that no audited transaction has named there may be rows of those before.
    // So may rows that existed, which have come to the last transaction meanwhile.
    if (lsn && (*lsn > last || (*lsn == last && record.headers.op == "r") || (end < 0 && *lsn <= from))) return;
    throw LogError(LogError::Kind::damaged,
                   fmt::format("the record at offset {} belongs to no transaction (topic \"{}\", partition {})",
                               record.offset, topic, partition));
  });
  reader.release(topic, partition);
}

}  // namespace

AuditReport audit_topics(TopicReader& reader, const AuditOptions& options) {
  AuditReport report;
  const auto bounds = reader.bounds(options.transaction_topic, 0);
  if (!bounds)
    throw LogError(LogError::Kind::gap, fmt::format("topic \"{}\" does not exist: nothing was ever published with this "
                                                    "prefix, or the topic was deleted",
                                                    options.transaction_topic));
  const Extent extent = survey(reader, options.transaction_topic, *bounds);
  report.expired = extent.expired;
  report.unfinished = extent.unfinished;
  report.accepted_losses = extent.losses;
  report.first = report.last = extent.from;
  report.end = extent.last;

  TopicTransactionsOptions topics;
  topics.transaction_topic = options.transaction_topic;
  topics.relation_topic = options.relation_topic;
  topics.message_prefix = options.message_prefix;
  topics.everything = true;
  TopicTransactions transactions(reader, topics, extent.from, extent.offset);
  report.offset = extent.offset.value_or(bounds->first - 1);
  while (report.offset < extent.last) {
    const auto piece = transactions.next(topic_read_wait, {});
    if (!piece) {
      // The records at `from` itself may be the only ones.
      if (transactions.read_to() > extent.last) break;
      continue;
    }
    report.offset = piece->log_offset;
    if (piece->content) {
      report.rows += piece->changes.size();
      continue;
    }
    report.records += piece->changes.size();
    if (piece->last()) {
      report.last = *piece->end_lsn;
      ++(piece->xid == 0 && piece->changes.empty() ? report.positions : report.transactions);
    }
    if (options.progress) options.progress(report);
  }
  for (const std::string& topic : extent.topics)
    for (int32_t partition = 0; reader.bounds(topic, partition); ++partition) {
      const auto end = transactions.ends().find({topic, partition});
      check_rest(reader, topic, partition, end == transactions.ends().end() ? -1 : end->second, report.first,
                 report.last);
    }
  return report;
}

}  // namespace anabranch
