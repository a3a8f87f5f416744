// A turn at an index: nobody else writes to it meanwhile, and the home database is seen in one snapshot.
//
// The lock is taken before the snapshot. So in a turn the index holds exactly what the copy had in an earlier turn, but
// for the keys that have been noted as pending since; once they are sent, it holds what the snapshot shows. Deliveries
// and comparisons take turns, also those of a sidecar that does not know yet that it has been replaced.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/index/document_batch.hpp"
#include "sidecar/pg/connection.hpp"

namespace anabranch {

// An index as the home database defines it.
struct IndexCopy {
  uint32_t oid = 0;
  std::string name;    // of the copy, qualified and quoted
  std::string engine;  // section of the settings file
  IndexDefinition definition;
  std::string as_read;  // all of it, to tell whether something has changed
};

std::vector<IndexCopy> indexes_to_deliver(Connection& connection);

// What a turn begins with.
struct DeliveryState {
  bool live = false, watched = false;
  Lsn lsn;                           // of the copy
  std::optional<std::string> as_of;  // a timestamptz, as text
  int64_t timeline = 0;
  uint64_t token = 0;
  int64_t number = 0;   // last pending one that was delivered
  int64_t upto = 0;     // the next ones go up to here,
  int64_t pending = 0;  // and are so many
  int64_t generation = 0, filled = 0;
  std::optional<std::string> swept_to;  // JSON
  int64_t swept = 0;
  std::optional<Lsn> delivered;
  std::optional<IndexVersion> version;
  std::optional<std::string> identity;
  bool refused = false;  // there are dead letters of the index
  bool frozen = false;   // the generation that readers find is written no more
  std::string seen;      // of what is recorded of the index: record() must find it as it was
};

// What an engine has acknowledged in a turn.
struct Delivered {
  std::optional<int64_t> number;
  std::optional<Lsn> lsn;
  std::optional<std::string> as_of;
  std::optional<IndexVersion> version;
  std::optional<std::string> identity;
  int64_t documents = 0;
  std::optional<int64_t> filled;
  std::optional<std::string> swept_to;
  std::optional<int64_t> swept;
  std::vector<ParkedDocument> parked;
  std::vector<std::string> taken;  // keys, to be taken from the dead letters
  bool frozen = false;
};

class Turn {
 public:
  // Waits for its turn. `pending_max` bounds DeliveryState::pending.
  Turn(Connection& connection, uint32_t copy, int pending_max);
  // Gives it back; what was not recorded has not happened. Never throws.
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // nullopt: there is no such index any more.
  const std::optional<DeliveryState>& state() const { return state_; }
  int pending_max() const { return pending_max_; }
  // Since the snapshot was taken.
  std::chrono::milliseconds age() const;
  std::chrono::steady_clock::time_point began() const { return began_; }

  // The next pending ones behind a number: their last number, and how many they are.
  struct Range {
    int64_t upto = 0, count = 0;
  };
  Range pending_behind(int64_t number, int pending_max);

  // Documents. Throws PgError with SQLSTATE 54000 when there is more than one and they have more than bytes_max; the
  // turn is lost then.
  enum class Contents { read, empty };  // empty: only whether there is a document is asked for
  DocumentBatch changed(int64_t behind, int64_t upto, Contents contents = Contents::read);
  DocumentBatch next(const std::optional<std::string>& behind, int rows_max);        // none: there are no more
  DocumentBatch keyed(const std::string& keys, Contents contents = Contents::read);  // a JSON list of objects or texts
  DocumentBatch keyless(int rows_max);
  static constexpr int64_t bytes_max = 16 << 20;

  // Nothing more is read: what now has to be waited for is waited for without a snapshot.
  void end_snapshot();
  // Ends the turn with what has come of it. Throws PgError (40001) when the index is to be made anew since: nothing of
  // the turn has happened then.
  void record(uint64_t token, const Delivered& delivered);

 private:
  DocumentBatch read(const char* statement, Parameters parameters);
  void end() noexcept;

  Connection& connection_;
  const uint32_t copy_;
  const int pending_max_;
  std::chrono::steady_clock::time_point began_;
  std::optional<DeliveryState> state_;
  bool locked_ = false;
};

}  // namespace anabranch
