// Frames in, transactions out, in pieces: keeps the grammar of decoder/record.proto, checks count and checksum, puts
// large values together.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/log/crc32c.hpp"
#include "sidecar/log/record.hpp"

namespace anabranch {

// What a session with the decoder has told so far: the relations it described, and the transaction that is open. One
// per session; after an exception it is of no more use. Not for two threads at a time.
class TransactionReader {
 public:
  // Transactions that end at or before `from` are read and dropped. Wanted values of more than `value_bytes_max` bytes,
  // all of one change together, become Gaps.
  TransactionReader(Lsn from, size_t value_bytes_max);

  // Reads one frame and appends what it holds to `pieces`: for each transaction in it one piece, whose end_lsn is set
  // when its Commit was in the frame and count and checksum are right. `storage` keeps the frame's bytes alive.
  // `wanted`: columns whose large values are put together. Throws LogError, naming the position.
  void read(std::string_view frame, std::shared_ptr<const void> storage, const WantedColumns& wanted,
            std::vector<TransactionPiece>& pieces);

  // Between Begin and Commit.
  bool in_transaction() const { return open_; }

 private:
  struct KnownRelation {
    std::shared_ptr<const Relation> relation;
    uint64_t kept_in = 0;  // serial number of the last piece that keeps it alive
  };
  // A value that arrives in pieces. They stand directly before their change.
  struct FragmentedValue {
    bool before = false;
    uint32_t number = 0;
    uint64_t total = 0, received = 0;
    bool wanted = false;  // by a copy
    bool kept = false;    // wanted, and within the bound
    bool used = false;    // its change has named it
    std::string bytes;
  };

  void read_record(const RecordView& record);
  void begin(std::string_view body);
  void commit(std::string_view body);
  void row(RecordKind kind, std::string_view body);
  void truncate(std::string_view body);
  void message(std::string_view body);
  void unselected(std::string_view body);
  void fragment(std::string_view body);

  void open_piece();
  void close_piece();
  Change& add_change(Change::Kind kind);
  const Relation* keep_relation(uint32_t oid);
  std::string_view put_together(const GapsRecord& gaps, bool before, std::string_view row, std::vector<Gap>& unsent);
  [[noreturn]] void throw_with_position(const LogError& error) const;

  const Lsn from_;
  const size_t value_bytes_max_;
  std::unordered_map<uint32_t, KnownRelation> relations_;
  Lsn last_end_;

  // The open transaction.
  bool open_ = false;
  bool dropped_ = false;
  BeginRecord begun_;
  std::string origin_;
  uint64_t changes_ = 0;
  uint64_t rejected_ = 0;
  bool sent_piece_ = false;
  Crc32c crc_;
  std::vector<FragmentedValue> fragments_;
  RowRecord row_;

  // The frame that is being read.
  const WantedColumns* wanted_ = nullptr;
  std::shared_ptr<const void> storage_;
  std::vector<TransactionPiece>* pieces_ = nullptr;
  TransactionPiece* piece_ = nullptr;  // null: none of this transaction in this frame yet
  uint64_t piece_serial_ = 0;
  uint32_t last_oid_ = 0;
  const Relation* last_relation_ = nullptr;
};

}  // namespace anabranch
