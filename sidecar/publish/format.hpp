// How the changes of a table stand in Kafka: keys and values of data records. A format is chosen once per run
// (settings: kafka.format); a table's description is opened once for each version of it.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/topic/row_operation.hpp"

namespace anabranch {

// The transaction a change belongs to.
struct PublishedUnit {
  uint64_t xid = 0;         // 0: none
  int64_t commit_time = 0;  // microseconds since 2000-01-01 UTC
  Lsn commit_lsn, end_lsn;
  std::string_view origin;
};

// One data record to be, of a table. Not always what the log held: a change of the key is a remove and an insert, and
// a column that went over record_bytes_max may have moved into the gaps. Rows are bytes as in Change.
struct PublishedChange {
  RowOperation operation = RowOperation::insert;
  uint64_t number = 0;  // within the transaction, from 1
  BeforeKind before_kind = BeforeKind::none;
  std::string_view before, after;
  const std::vector<uint32_t>* unchanged = nullptr;  // columns missing in `after`, not NULL; nullptr: none
  const std::vector<Gap>* before_gaps = nullptr;     // columns that could not be sent; nullptr: none
  const std::vector<Gap>* after_gaps = nullptr;
  uint32_t leaf = 0;  // truncate
  bool cascade = false, restart_identity = false;
};

// The format cannot say this: what() names the column and the remedy. The run ends by name; nothing is left out.
class FormatError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One version of one table. Not for two threads at a time.
class RelationFormat {
 public:
  virtual ~RelationFormat() = default;

  // Appends the key of a row that has all key columns. Throws FormatError.
  virtual void key(std::string_view row, std::string& out) = 0;

  // Appends the value of a record. Throws FormatError.
  virtual void value(const PublishedUnit& unit, const PublishedChange& change, std::string& out) = 0;

  // For the compacted topic of the latest row of each key, whose key is that of the record: appends the row alone, or
  // returns false where there is none any more (a null value, the tombstone). Throws FormatError for a truncate, and
  // where the row is not known whole: what is missing could not be had from that topic afterwards.
  virtual bool latest(const PublishedChange& change, std::string& out) = 0;
};

// What a format is told about a table.
struct TableToFormat {
  const Relation* relation = nullptr;  // outlives the RelationFormat
  uint64_t fingerprint = 0;            // of its description
  std::string topic;
  std::vector<uint32_t> key_columns;  // attribute numbers, ascending
  std::string latest_topic = {};      // for RelationFormat::latest(); empty: there is none
};

class RowFormat {
 public:
  virtual ~RowFormat() = default;

  // As in the settings: "protobuf", "avro", "debezium-json".
  virtual std::string_view name() const = 0;

  // Opens a table's description; registers schemas where the format does so. Throws FormatError (a type it cannot say,
  // a schema that the registry refuses) or ProducerError(passes) where the registry does not answer.
  virtual std::unique_ptr<RelationFormat> open(const TableToFormat& table) = 0;
};

// "protobuf": the decoder's bytes as they are, round them a Row of topic.proto.
std::unique_ptr<RowFormat> make_protobuf_format();

}  // namespace anabranch
