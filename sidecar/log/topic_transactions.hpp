// Records of the topics in, transactions out, in pieces: finds the place, keeps the chain, merges the partitions by
// number, checks count and checksum. Pure but for what it reads.
//
// Method:
//   0. Rows that existed (content) stand between two units and belong to none: they are checked by an audit, and passed
//      over otherwise.
//   1. The transaction topic has a record for each transaction (or part of one), in order; each names the one before
//      it. The first record after P must follow something at or before P: otherwise what lies between has been removed,
//      or was never published. From there on each must name exactly the one before it.
//   2. The place is found from the offset that was recorded with P, else by halving the topic.
//   3. A transaction in parts is handed out only when its last part is in the topic: the topic is read ahead to there.
//      A gap is where a server was adopted: the end of it for whoever has read up to there, and a new beginning, maybe
//      at an earlier position. What was half published before it is given up.
//   4. A record says which offsets of which partitions hold its rows. Those are read that somebody wants; count and
//      checksum of each are checked; the rows are merged by their number within the transaction.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/log/topic_changes.hpp"
#include "sidecar/log/topic_relations.hpp"

namespace anabranch {

struct TopicTransactionsOptions {
  std::string transaction_topic, relation_topic;
  std::string message_prefix;  // what the names of topics of messages begin with: they are not read
  // Relations that are read though no one names them by oid: schema and name.
  std::vector<std::pair<std::string, std::string>> always_wanted;
  // For an audit: every topic is read, those of messages too, and between the records of one transaction and those of
  // the next there may be none (before the first, those of transactions up to the position). A loss that was accepted
  // is passed over. Values are checked and not looked into, so that their format does not matter: changes
  // are then handed out as messages without content, but for truncates.
  bool everything = false;
  // For a look at the topics: what stands in these is read, whoever wants it, messages with prefix and content too; an
  // empty set stands for all of them.
  std::optional<std::set<std::string>> shown;
};

// One reading of the topics. After an exception it is of no more use. Not for two threads at a time.
class TopicTransactions {
 public:
  // `reader` must outlive the object. `from` is a recorded position P; `offset` the place of its record in the
  // transaction topic, if it is known.
  TopicTransactions(TopicReader& reader, TopicTransactionsOptions options, Lsn from, std::optional<int64_t> offset);

  // The next piece; nullopt when the topics have none within about `wait`. A position is a piece without a transaction:
  // xid 0, first and last. Throws LogError(gap) when the topics do not hold what comes after `from`, or not any more;
  // LogError(damaged), naming topic, offset and position, when they hold what no publisher writes; Interrupted.
  std::optional<TransactionPiece> next(std::chrono::milliseconds wait, const WantedColumns& wanted);

  // everything: up to which offset each partition that was named has been accounted for.
  const std::map<std::pair<std::string, int32_t>, int64_t>& ends() const { return ends_; }

  // Up to which offset the transaction topic has been read.
  int64_t read_to() const { return next_offset_; }

  // Whether the transaction topic was there and the place has been found.
  bool placed() const { return next_offset_ >= 0; }

 private:
  bool find_place();
  int64_t halve(TopicReader::Bounds bounds);
  Lsn last_end_in(TopicReader::Bounds bounds);
  void pass_falls(int64_t begin, int64_t end);
  std::optional<TopicRecord> first_at(int64_t offset, int64_t last, TopicRead& read);
  bool read_ahead(std::chrono::milliseconds wait);
  void take(PartRecord part);
  bool take_gap(PartRecord& part);
  void chain(const PartRecord& part);
  void chain_first(const PartRecord& part);
  void chain_part(const PartRecord& part);
  void chain_content(const PartRecord& part);

  TransactionPiece assemble(const PartRecord& part, const WantedColumns& wanted);
  // By an audit or by somebody: what was accepted as lost is no end of it.
  bool is_looked_at() const { return options_.everything || options_.shown; }
  bool is_wanted(const SpanRecord& span, const WantedColumns& wanted);
  int64_t begin_of(const SpanRecord& span, bool& first);
  NumberedChanges read_span(const SpanRecord& span, const PartRecord& part, TransactionPiece& piece);
  void add_record(const TopicRecord& record, const PartRecord& part, const std::string& lsn, std::string_view prefix,
                  TransactionPiece& piece, NumberedChanges& run);
  std::string_view whole_value(const TopicRecord& record, uint64_t number, TransactionPiece& piece);
  static Change message_of(const TopicRecord& record, std::string_view prefix, std::string_view content,
                           TransactionPiece& piece);
  const Relation* keep_relation(uint64_t fingerprint, TransactionPiece& piece);

  TopicReader& reader_;
  const TopicTransactionsOptions options_;
  const Lsn from_;
  const std::optional<int64_t> offset_;
  TopicRelations relations_;
  int64_t next_offset_ = -1;      // of the transaction topic; -1: the place has not been found
  Lsn last_end_;                  // the chain: of the last unit seen, invalid before the first
  bool chained_ = false;          // a record after `from` has been taken
  std::deque<PartRecord> ahead_;  // read and not handed out
  size_t whole_ = 0;              // how many of them belong to units that are there to their end
  TopicRow row_;                  // reused
  std::map<std::pair<std::string, int32_t>, int64_t> ends_;  // everything: where the last span of a partition ended
  FragmentPlace slice_;                                      // of a value in slices: the last one seen
  uint64_t sliced_number_ = 0;                               // its number
  std::shared_ptr<std::string> sliced_;                      // what has come of it
  std::vector<const Relation*> kept_;                        // those the piece under work keeps alive
  uint64_t last_fingerprint_ = 0;                            // of the record before, with what was found for it
  const Relation* last_relation_ = nullptr;
};

}  // namespace anabranch
