// How far a source has been published: what the progress topic says (Progress and TopicPosition of topic.proto).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/pg/lsn.hpp"
#include "sidecar/publish/content_progress.hpp"
#include "sidecar/topic/topic_fields.hpp"

namespace anabranch {

struct Progress {
  Lsn lsn;  // P
  // Inside a transaction that is published in parts; invalid otherwise.
  Lsn part_end_lsn;
  uint32_t parts = 0;
  uint64_t records = 0;  // the highest number published
  uint32_t crc = 0;
  int64_t transaction_offset = -1;  // of the last record in the transaction topic; -1: none
  std::string cluster_id, run_id, system_identifier;
  uint32_t timeline = 0;
  std::string slot, instance, version, adopted_from;
  uint64_t last_number = 0;  // the highest number given at position lsn
  std::string witness;       // one that the source's database had at lsn; empty: none

  bool within_transaction() const { return part_end_lsn.valid(); }
};

// Which table's columns stand at which field numbers of a topic's rows.
struct TopicNumbering {
  struct Column {
    uint32_t number = 0;
    std::string name, type;
  };
  uint32_t relation_oid = 0;  // 0: not known, or a topic of messages
  std::string system_identifier;
  uint32_t highest_number = 0;  // of any column that the topic has seen
  std::vector<Column> columns;  // ascending
};

// A lower bound of where a topic ends, and what its rows mean.
struct TopicPosition {
  std::string topic;
  std::vector<int64_t> next_offsets;  // by partition
  TopicNumbering numbering;
};

// Everything the progress topic holds for one source.
struct StoredProgress {
  std::optional<Progress> progress;  // nullopt: the source has never been published, or the topic is lost
  std::vector<TopicPosition> topics;
  std::vector<ContentProgress> content;
  std::vector<std::string> other_sources;  // names of sources that also have a Progress there
  bool whole = true;                       // nothing lies behind it that is in doubt
};

// Reads the progress topic as a read_committed reader does.
class ProgressStore {
 public:
  enum class Reach {
    // Up to where it ended when asked, as an uncommitted reader sees that: everything counts that is committed. Waits
    // for a transaction that is open there, so it is to be asked after TransactionProducer::init(), which leaves none.
    all,
    // What is readable now: it may lack what is still in doubt, and what lies behind that. Waits for nobody's
    // transaction: a producer that was killed leaves one for a minute, unless the next one's init ends it.
    readable
  };
  virtual ~ProgressStore() = default;
  // Throws ProducerError.
  virtual StoredProgress read(const std::string& source, Reach reach) = 0;
};

// The records' bytes. read_...() throw std::invalid_argument, naming what is wrong, on bytes that are none or a format
// that is newer.
std::string write_progress(const Progress& progress);
Progress read_progress(std::string_view bytes);
std::string write_topic_position(const TopicPosition& position);
TopicPosition read_topic_position(std::string_view bytes);

}  // namespace anabranch
