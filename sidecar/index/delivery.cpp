#include "sidecar/index/delivery.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/failpoint.hpp"
#include "sidecar/index/document_sender.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr int rows_least = 1, rows_first = 1'000, rows_most = 10'000;  // read at a time
constexpr int64_t bytes_wanted = Turn::bytes_max / 4;                  // so that few readings are too large
constexpr milliseconds turn_time_max = 1s;                             // as long a snapshot is held
// Before it has been complete for the first time: at the end of each turn the engine has nothing to do for a while.
constexpr milliseconds first_fill_turn_time_max = 3s;
// Of the index, before a turn, where it is looked through.
constexpr milliseconds held_time_max = 200ms;
constexpr std::size_t held_documents_max = 10'000;
constexpr milliseconds position_interval = 20ms;  // between records of a position alone
constexpr int first_part = 4;  // of what is read at a time a turn begins with so little that the engine soon has work
// After making visible that is not done again for this part of the time that documents may wait for it, nor, while more
// waits to be written, for so many times as long as it took.
constexpr int refresh_rest_part = 4, refresh_rest_behind = 5;
constexpr int refresh_spare_part = 4;  // of that time, for one that takes longer than those before it
constexpr int refresh_memory = 16;     // that many later, what one took counts for a third
constexpr int keyless_max = 100;       // of the documents that no index can have so many are named
constexpr const char* too_large = "54000";
constexpr const char* fenced = "AN001";
constexpr int timeline_bits = 12, position_bits = 51;

std::string generation_prefix(const IndexCopy& copy) {
  return std::to_string(copy.definition.generation) + "/";
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void take(Sent sent, Delivered& delivered) {
  delivered.documents += sent.documents;
  append(delivered.parked, sent.parked);
  append(delivered.taken, sent.taken);
  delivered.frozen = delivered.frozen || sent.former_refuses;
}

}  // namespace

IndexVersion version_at(const DeliveryState& state) {
  const auto timeline = static_cast<IndexVersion>(state.timeline) & ((IndexVersion{1} << timeline_bits) - 1);
  const IndexVersion place = timeline << position_bits | state.lsn.value() >> 3;
  // A repair changes a copy without moving its position.
  return std::max(place, state.version.value_or(0) + 1);
}

Delivery::Delivery(Connection& connection, const IndexSettings& settings, IndexCopy copy, uint64_t token,
                   const Stop& stop)
    : connection_(connection),
      settings_(settings),
      copy_(std::move(copy)),
      token_(token),
      stop_(stop),
      index_(make_index(settings, copy_.definition, stop)),
      rows_max_(rows_first) {}

Delivery::~Delivery() = default;

std::optional<Clock::time_point> Delivery::due() const {
  if (unseen_) return refresh_due(false);
  if (moved_) return recorded_ + position_interval;
  return std::nullopt;
}

Delivery::Outcome Delivery::take_turn() {
  if (!opened_)
    if (const auto outcome = open()) return *outcome;
  const std::vector<HeldPage> held = held_pages();
  try {
    Turn turn(connection_, copy_.oid, first_rows());
    if (!may_go_on(turn.state())) return Outcome::changed;
    const DeliveryState& state = *turn.state();
    if (!state.live) {
      if (opened_ && record_anyway_) {
        turn.record(token_, {});
        record_anyway_ = false;
      }
      return Outcome::waiting;
    }
    if (!opened_) return Outcome::more;
    if (state.watched) return deliver(turn, held) ? Outcome::done : Outcome::more;
  } catch (const PgError& error) {
    if (error.sqlstate() != too_large || rows_max_ == rows_least) throw;
    rows_max_ = std::max(rows_max_ / 2, rows_least);
    look_again();  // what was under way may have failed, too
    return Outcome::more;
  }
  connection_.exec("SELECT anabranch.begin_deliveries($1::oid, $2::bigint)",
                   Parameters().integer(copy_.oid).integer(static_cast<int64_t>(token_)));
  return Outcome::more;
}

bool Delivery::may_go_on(const std::optional<DeliveryState>& state) const {
  if (!state || state->generation != copy_.definition.generation) return false;
  if (state->token != token_) throw PgError(fenced, "another sidecar has taken over");
  return true;
}

// Before a turn: an engine may keep us waiting, and nobody is to wait for our snapshot meanwhile. Nothing is returned
// where a turn can be taken.
std::optional<Delivery::Outcome> Delivery::open() {
  std::optional<DeliveryState> state = Turn(connection_, copy_.oid, rows_least).state();
  if (!may_go_on(state)) return Outcome::changed;
  // What an engine says to a new index is told while its copy is still being filled.
  if (!state->live && state->filled > 0) return std::nullopt;
  opened_ = index_->open(token_);
  if (opened_->is_new) empty_identity_ = opened_->identity;
  failpoint("index_opened");
  const std::string lost = what_was_lost(*state);
  if (lost.empty()) {
    serve_readers(*state);
    return std::nullopt;
  }
  log_warning("an index is filled anew", {{"index", copy_.name}, {"reason", lost}});
  connection_.exec("SELECT anabranch.sweep_again($1::oid, $2::bigint, $3, $4)",
                   Parameters()
                       .integer(copy_.oid)
                       .integer(static_cast<int64_t>(token_))
                       .text(generation_prefix(copy_) + opened_->identity)
                       .text(lost));
  return Outcome::more;
}

// What readers find: under their name, or, while another generation is filled, the one before.
void Delivery::serve_readers(const DeliveryState& state) {
  const bool filling = state.filled < state.generation;
  if (!filling && !std::exchange(opened_->is_published, true)) {
    log_warning("readers did not find an index any more, its name is given to it again", {{"index", copy_.name}});
    index_->publish();
  }
  if (!filling || state.filled == 0 || state.frozen || !index_->side_by_side() || former_) return;
  IndexDefinition former = copy_.definition;
  former.generation = state.filled;
  auto opened = make_index(settings_, std::move(former), stop_);
  opened->open(token_);
  former_ = std::move(opened);
}

// Why the index is not the one that was filled; empty: it is, or is being filled.
std::string Delivery::what_was_lost(const DeliveryState& state) const {
  if (!state.identity || !state.identity->starts_with(generation_prefix(copy_))) return {};
  if (*state.identity != generation_prefix(copy_) + opened_->identity)
    return "it was made anew behind our back, or its engine has lost it";
  if (opened_->version && state.version && *opened_->version < *state.version)
    return "its engine has gone back in time, as after a failover or when an older state of it was restored";
  return {};
}

// What the index has, where that is looked through for what is too much: the next of it.
std::vector<HeldPage> Delivery::held_pages() {
  std::vector<HeldPage> pages;
  if (!opened_ || !sweep_.all || sweep_.none_extra) return pages;
  const Clock::time_point end = Clock::now() + held_time_max;
  std::size_t documents = 0;
  for (std::string after = sweep_.extra_after;;) {
    const HeldPage& page = pages.emplace_back(index_->scan(after));
    after = page.next;
    documents += page.documents.size();
    if (after.empty() || documents >= held_documents_max || Clock::now() >= end) return pages;
  }
}

bool Delivery::deliver(Turn& turn, const std::vector<HeldPage>& held) {
  const DeliveryState& state = *turn.state();
  const bool filling = state.filled < state.generation;
  if (!filling || state.frozen || state.filled == 0) former_.reset();
  // What a turn that broke off has sent may still be on its way.
  const IndexVersion version = std::max(version_at(state), written_ + 1);
  if (filling || state.pending > 0) written_ = version;
  DocumentSender sender(*index_, former_.get(), version, state.refused);
  Delivered delivered;
  const bool complete = send_pending(turn, sender, delivered);
  Sweep swept = sweep_;
  if (filling) sweep(turn, sender, swept, delivered);
  std::vector<DocumentBatch> expected;  // of each page
  if (filling && state.swept_to && !held.empty()) {
    for (const HeldPage& page : held) expected.push_back(turn.keyed(keys_of(page), Turn::Contents::empty));
    swept.extra_after = held.back().next;
    swept.none_extra = swept.extra_after.empty();
  }
  const bool filled = filling && swept.all && swept.none_extra;
  if (filled) add_keyless(turn, delivered);
  turn.end_snapshot();
  take(sender.finish(), delivered);
  for (std::size_t page = 0; page < expected.size(); ++page)
    remove_extra(held[page], expected[page], version, delivered);
  failpoint("index_written");
  // An index without documents has a version, too: of the generation before, none would count.
  if (delivered.documents > 0 || filled) {
    written_ = version + 1;
    index_->write({}, written_);
    delivered.version = written_;
    failpoint("index_marked");
  }
  if (filled) {
    index_->make_visible();
    index_->publish();
    opened_->is_published = true;
    former_.reset();
    delivered.filled = state.generation;
    log_info("an index is complete", {{"index", copy_.name}, {"generation", state.generation}});
    failpoint("index_published");
  }

  unseen_ = !filled && (unseen_ || (delivered.documents > 0 && index_->visible_within() > 0ms));
  if (unseen_ && Clock::now() >= refresh_due(!complete)) refresh(filling);
  // The fields of another query have no place in the generation before.
  delivered.frozen = delivered.frozen && !filled;
  const bool frozen = (state.frozen || delivered.frozen) && !filled;
  if (complete && !unseen_ && (state.filled > 0 || filled) && !frozen) {
    delivered.lsn = state.lsn;
    delivered.as_of = state.as_of;
  }
  const std::string identity = generation_prefix(copy_) + opened_->identity;
  moved_ = delivered.lsn && (!state.delivered || *state.delivered < *delivered.lsn);
  const bool news = delivered.documents > 0 || delivered.number || delivered.filled || state.identity != identity ||
                    !delivered.parked.empty() || delivered.swept_to || record_anyway_;
  if (news || (moved_ && Clock::now() >= recorded_ + position_interval)) {
    if (state.identity != identity) delivered.identity = identity;
    turn.record(token_, delivered);
    recorded_ = Clock::now();
    sweep_ = swept;
    moved_ = record_anyway_ = false;
    failpoint("index_recorded");
  }
  return complete && (!filling || filled);
}

// Whether nothing is left.
bool Delivery::send_pending(Turn& turn, DocumentSender& sender, Delivered& delivered) {
  const DeliveryState& state = *turn.state();
  int64_t number = state.number;
  Turn::Range range{state.upto, state.pending};
  bool keyless = false;
  int pending_max = turn.pending_max();
  while (range.count > 0) {
    DocumentBatch batch = turn.changed(number, range.upto);
    adapt(batch);
    keyless = keyless || !batch.keyless().empty();
    sender.send(std::move(batch), DocumentSender::Former::written, turn.began() + turn_time_max);
    number = range.upto;
    if (range.count < pending_max) break;
    if (turn.age() >= turn_time_max) break;
    pending_max = rows_max_;
    range = turn.pending_behind(number, pending_max);
  }
  if (number != state.number) delivered.number = number;
  if (keyless) add_keyless(turn, delivered);
  return range.count < pending_max;
}

void Delivery::sweep(Turn& turn, DocumentSender& sender, Sweep& swept, Delivered& delivered) {
  const DeliveryState& state = *turn.state();
  const milliseconds time_max = !state.delivered ? first_fill_turn_time_max : turn_time_max;
  std::optional<std::string> behind = state.swept_to;
  delivered.swept = state.swept;
  if (!behind) swept = {false, std::exchange(empty_identity_, "") == opened_->identity, {}};
  for (int rows_max = first_rows(); !swept.all; rows_max = rows_max_) {
    DocumentBatch batch = turn.next(behind, rows_max);
    adapt(batch);
    swept.all = batch.rows() == 0;
    if (!swept.all) behind = batch.last_key();
    *delivered.swept += static_cast<int64_t>(batch.rows());
    sender.send(std::move(batch), DocumentSender::Former::left, turn.began() + time_max);
    if (turn.age() >= time_max) break;
  }
  delivered.swept_to = behind.value_or("{}");
}

// Left over from a time when nobody took note.
void Delivery::remove_extra(const HeldPage& page, const DocumentBatch& expected, IndexVersion version,
                            Delivered& delivered) {
  const std::vector<HeldDocument> extra = without_parked(index_->extra(page, expected.documents()), expected);
  if (extra.empty()) return;
  index_->write(as_gone(extra), version);
  delivered.documents += static_cast<int64_t>(extra.size());
}

// Documents that no index can have are dead letters, some of them.
void Delivery::add_keyless(Turn& turn, Delivered& delivered) {
  append(delivered.parked, turn.keyless(std::min(keyless_max, rows_max_)).parked());
}

// `more`: documents wait to be written. What is written right after a refresh began is found when the next one has
// ended, though that may take long.
Clock::time_point Delivery::refresh_due(bool more) const {
  const auto within = index_->visible_within();
  const Clock::duration rest =
      more ? (refresh_ended_ - refresh_began_) * refresh_rest_behind : Clock::duration(within) / refresh_rest_part;
  return std::max(refresh_began_ + within - within / refresh_spare_part - refresh_longest_, refresh_ended_ + rest);
}

// What readers find now is made to show all that was written; `filling`: that is the generation before.
void Delivery::refresh(bool filling) {
  refresh_began_ = Clock::now();
  if (!filling || !index_->side_by_side())
    index_->make_visible();
  else if (former_)
    former_->make_visible();
  unseen_ = false;
  refresh_ended_ = Clock::now();
  const Clock::duration took = refresh_ended_ - refresh_began_;
  refresh_longest_ = std::max(took, refresh_longest_ - refresh_longest_ / refresh_memory);
}

int Delivery::first_rows() const {
  return std::max(rows_max_ / first_part, rows_least);
}

// So many rows at a time that their bytes stay within bounds.
void Delivery::adapt(const DocumentBatch& batch) {
  if (batch.bytes() > bytes_wanted)
    rows_max_ = std::max(rows_max_ / 2, rows_least);
  else if (batch.rows() >= static_cast<std::size_t>(rows_max_) && batch.bytes() < bytes_wanted / 2)
    rows_max_ = std::min(rows_max_ * 2, rows_most);
}

}  // namespace anabranch
