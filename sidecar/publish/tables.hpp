// The tables that are published: topic, key columns and format of each version of their descriptions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/publish/producer.hpp"
#include "sidecar/publish/progress.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

struct PublisherSettings;

// A topic that this producer writes to.
struct OpenTopic {
  std::string name;
  TopicHandle handle;
  int32_t partitions = 1;
  std::vector<int64_t> next_offsets;  // lower bounds, by partition: as recorded, then as delivered
  // Where the next record will stand, by partition, if nobody else writes there; -1: not known.
  std::vector<int64_t> expected_offsets;
  bool recorded = false;     // as a TopicPosition, since this producer was made
  bool touched = false;      // since the last look at what has to be recorded
  std::string table;         // its qualified name: two tables never share a topic. Empty: messages
  TopicNumbering numbering;  // of the records that stand in it last
};

// One description of one table. Lives as long as the PublishedTables.
struct PublishedTable {
  Relation relation;
  uint64_t fingerprint = 0;
  std::string fingerprint_text, generation_text;
  OpenTopic* topic = nullptr;
  OpenTopic* latest = nullptr;        // of the latest row of each key; nullptr: not wanted
  std::vector<uint32_t> key_columns;  // ascending
  uint64_t key_shape = 0;             // tells keys of one kind from others; never 0
  std::unique_ptr<RelationFormat> format;
  bool described = false;  // its record in the relation topic is committed, or in the open Kafka transaction
};

// The columns that make the key, ascending: the primary key's if old rows have them; else the replica identity's; else
// all, if `full_row` allows it. Empty: it has no key.
std::vector<uint32_t> choose_key_columns(const Relation& relation, bool full_row);

// For one producer: made anew with it. Throws PublishStopped for a table that cannot be published, ProducerError,
// FormatError.
class PublishedTables {
 public:
  // `settings` must outlive this. `system_identifier`: the source's.
  PublishedTables(const TopicNames& names, const PublisherSettings& settings, TopicAdmin& admin,
                  TransactionProducer& producer, RowFormat& format, std::string system_identifier,
                  const std::vector<TopicPosition>& recorded);

  // The table under the description that a change carries; created with its topic where it is new. `piece` tells one
  // TransactionPiece from another: relations are objects of their piece, and another may stand at the same address
  // later.
  PublishedTable& find(const Relation& relation, uint64_t piece);

  // The topic of logical messages with a prefix.
  OpenTopic& message_topic(const std::string& message_prefix);

  // One of the three topics of our own.
  OpenTopic& own_topic(const std::string& name, TopicKind kind);

 private:
  OpenTopic& open(const std::string& name, TopicKind kind, const std::string& table);
  void number(OpenTopic& topic, const Relation& relation);
  PublishedTable& make(const Relation& relation);

  const TopicNames& names_;
  const PublisherSettings& settings_;
  TopicAdmin& admin_;
  TransactionProducer& producer_;
  RowFormat& format_;
  const std::string system_identifier_;
  std::unordered_map<std::string, TopicPosition> recorded_;
  std::unordered_map<std::string, std::unique_ptr<OpenTopic>> topics_;
  std::unordered_map<uint64_t, std::unique_ptr<PublishedTable>> tables_;  // by fingerprint
  // The last answer, for the run of changes of one table.
  const Relation* last_relation_ = nullptr;
  uint64_t last_piece_ = 0;
  PublishedTable* last_ = nullptr;
};

}  // namespace anabranch
