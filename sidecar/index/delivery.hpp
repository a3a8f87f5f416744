// Brings the documents of one index to its engine, turn by turn.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/index/turn.hpp"

namespace anabranch {

class DocumentSender;

// Method, of a turn:
//   1. Nobody else has one. The copy is seen at its position P; P makes the version of all documents that are sent.
//   2. The pending keys are read with the documents they have now, and sent; in pieces, each while those before are
//      under way.
//   3. While a generation is not complete, further documents are read in the order of their keys and sent, too: those
//      behind are pending when they change, and those before are still to come, so when the end is reached all are
//      there. Then the index is looked through, some pages before each turn, for what the copy has not: that is
//      removed. When the end is reached, readers find the generation.
//   4. When the engine has acknowledged everything it is told so, by a version of its own: one that comes back without
//      the end of what it acknowledged comes back without that. This is recorded, and the turn is over. Where it breaks
//      off before, the same is sent again, with a later version.
// A search engine finds documents only after a while: P is recorded when it does.
//
// Used by one thread, but for the writes that it has under way itself.
class Delivery {
 public:
  enum class Outcome {
    done,     // everything that was pending has been sent
    more,     // there is more to do: take another turn
    waiting,  // the copy is not live
    changed   // the index was dropped, or is another now: make a new Delivery
  };

  // `connection` and `stop` must outlive the object; `index` is another one of the same definition for each generation.
  Delivery(Connection& connection, const IndexSettings& settings, IndexCopy copy, uint64_t token, const Stop& stop);
  ~Delivery();

  // Throws IndexError, PgError (AN001: another sidecar has taken over) and Interrupted; it may be called again then.
  Outcome take_turn();
  // When another turn is to be taken even if nothing comes in: what was sent is to be made visible, or a position to be
  // recorded. nullopt: no need.
  std::optional<std::chrono::steady_clock::time_point> due() const;
  // The engine is to be looked at again before the next turn: whether it still holds what it held.
  void look_again() { opened_.reset(); }
  // The next turn is recorded even if nothing was sent.
  void record_anyway() { record_anyway_ = true; }

  const IndexCopy& copy() const { return copy_; }
  ExternalIndex& index() { return *index_; }

 private:
  // How far the making of a generation has come, besides what is recorded of it.
  struct Sweep {
    bool all = false;         // every document has been sent; now for those that are too many
    bool none_extra = false;  // of them there are none: the index was empty when that began, or has been looked through
    std::string extra_after;  // so far
  };

  bool may_go_on(const std::optional<DeliveryState>& state) const;
  std::optional<Outcome> open();
  void serve_readers(const DeliveryState& state);
  std::string what_was_lost(const DeliveryState& state) const;
  std::vector<HeldPage> held_pages();
  bool deliver(Turn& turn, const std::vector<HeldPage>& held);
  bool send_pending(Turn& turn, DocumentSender& sender, Delivered& delivered);
  void sweep(Turn& turn, DocumentSender& sender, Sweep& swept, Delivered& delivered);
  void remove_extra(const HeldPage& page, const DocumentBatch& expected, IndexVersion version, Delivered& delivered);
  void add_keyless(Turn& turn, Delivered& delivered);
  std::chrono::steady_clock::time_point refresh_due(bool more) const;
  void refresh(bool filling);
  int first_rows() const;
  void adapt(const DocumentBatch& batch);

  Connection& connection_;
  const IndexSettings settings_;
  const IndexCopy copy_;
  const uint64_t token_;
  const Stop& stop_;
  std::unique_ptr<ExternalIndex> index_;
  std::unique_ptr<ExternalIndex> former_;  // the generation that readers find while the next is filled
  std::optional<OpenedIndex> opened_;
  std::string empty_identity_;  // of an index that was made here, and holds nothing yet
  IndexVersion written_ = 0;    // the highest version that was used
  int rows_max_;
  Sweep sweep_;                                                              // as of the last turn that was recorded
  bool unseen_ = false;                                                      // something is written, and not found yet
  std::chrono::steady_clock::time_point refresh_began_{}, refresh_ended_{};  // the last one
  std::chrono::steady_clock::duration refresh_longest_{};                    // of late
  bool moved_ = false;                                                       // a position waits to be recorded
  bool record_anyway_ = false;
  std::chrono::steady_clock::time_point recorded_{};
};

// The version of what is written at a position, later than any before.
IndexVersion version_at(const DeliveryState& state);

}  // namespace anabranch
