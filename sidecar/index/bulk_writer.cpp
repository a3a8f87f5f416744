#include "sidecar/index/bulk_writer.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "sidecar/backoff.hpp"
#include "sidecar/index/bulk.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;
using Fate = BulkItemResult::Fate;

// Answers in a row by which the engine took nothing. Their delays make up about ten seconds.
constexpr int attempts_max = 5;
constexpr milliseconds delay_min = 300ms;
constexpr milliseconds delay_max = 5s;
constexpr milliseconds look_interval = 10ms;  // for further documents, while fewer requests are in flight than may be
constexpr std::size_t item_bytes = 200;       // what an item takes beyond its content, roughly

// So that several writers do not come back at the same time.
milliseconds with_jitter(milliseconds delay) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return milliseconds(
      std::uniform_int_distribution<milliseconds::rep>(delay.count() / 2, delay.count() * 3 / 2)(random));
}

}  // namespace

// One call of write_all(). Requests that are in flight when it ends early are given up: the engine may still carry them
// out, which their versions make harmless.
class BulkWriter::Call {
 public:
  Call(BulkWriter& writer, DocumentStream& stream, IndexVersion version)
      : writer_(writer), engine_(writer.engine_), flow_(writer.flow_), stream_(stream), version_(version) {}
  ~Call() { engine_.client().cancel(); }

  void run();

 private:
  struct Batch {
    std::span<const Document> documents;
    std::size_t left = 0;  // neither acknowledged nor refused
    std::vector<RefusedDocument> refused;
  };
  struct Place {
    Batch* batch;
    std::size_t number;
  };
  using Places = std::vector<Place>;
  struct Request {
    Places places;
    std::size_t bytes = 0;
    std::size_t node = 0;
  };

  bool may_send() const;
  bool is_any_left();
  void add(std::span<const Document> documents);
  void finish_batches();
  std::size_t request_bytes() const;
  void send();
  milliseconds time_to_wait() const;
  void ended(HttpOutcome outcome);
  void answered(const Request& request, const HttpAnswer& answer);
  void taken_apart(const Request& request, const std::vector<BulkItemResult>& results);
  void too_large(const Request& request);
  void put_off(const Places& places, bool progress, const std::string& reason);
  void again(const Places& places) { queue_.insert(queue_.begin(), places.begin(), places.end()); }
  static void refuse(const Place& place, std::string reason);

  BulkWriter& writer_;
  SearchEngine& engine_;
  BulkFlow& flow_;
  DocumentStream& stream_;
  const IndexVersion version_;
  std::deque<Batch> batches_;    // not finished yet
  std::size_t batch_bytes_ = 0;  // of the last one, roughly
  std::deque<Place> queue_;
  std::unordered_map<std::size_t, Request> in_flight_;  // by tag
  std::size_t next_tag_ = 0;
  std::size_t silent_nodes_ = 0;  // in a row
  Backoff backoff_{delay_min, delay_max};
  Clock::time_point not_before_{};
};

void BulkWriter::Call::run() {
  for (;;) {
    while (may_send() && is_any_left()) send();
    if (!in_flight_.empty()) {
      if (auto outcome = engine_.client().wait(time_to_wait())) ended(std::move(*outcome));
      finish_batches();
    } else if (queue_.empty()) {
      return;
    } else if (engine_.stop().wait(time_to_wait())) {
      throw Interrupted();
    }
  }
}

bool BulkWriter::Call::may_send() const {
  return std::cmp_less(in_flight_.size(), flow_.in_flight()) && Clock::now() >= not_before_;
}

// Whether anything waits to be sent. With nothing in flight that is waited for.
bool BulkWriter::Call::is_any_left() {
  while (queue_.empty()) {
    finish_batches();
    const auto documents = stream_.next(in_flight_.empty());
    if (!documents) return false;
    add(*documents);
  }
  return true;
}

void BulkWriter::Call::add(std::span<const Document> documents) {
  Batch& batch = batches_.emplace_back(Batch{documents, documents.size(), {}});
  batch_bytes_ = 0;
  for (std::size_t number = 0; number < documents.size(); ++number) {
    batch_bytes_ += item_bytes + documents[number].content.value_or("").size();
    if (const auto size = documents[number].id.size(); size > id_bytes_max)
      refuse({&batch, number}, fmt::format("its _id has {} bytes; engines take {}", size, id_bytes_max));
    else
      queue_.push_back({&batch, number});
  }
}

void BulkWriter::Call::finish_batches() {
  for (; !batches_.empty() && batches_.front().left == 0; batches_.pop_front()) {
    auto& refused = batches_.front().refused;
    std::sort(refused.begin(), refused.end(), [](const auto& a, const auto& b) { return a.place < b.place; });
    stream_.finish(std::move(refused));
  }
}

void BulkWriter::Call::refuse(const Place& place, std::string reason) {
  place.batch->refused.push_back({place.number, std::move(reason)});
  --place.batch->left;
}

// Until there may be more to send, or for an answer.
milliseconds BulkWriter::Call::time_to_wait() const {
  const auto left = std::chrono::ceil<milliseconds>(not_before_ - Clock::now());
  if (left > 0ms) return left;
  return queue_.empty() && std::cmp_less(in_flight_.size(), flow_.in_flight()) ? look_interval
                                                                               : engine_.settings().request_timeout;
}

// What would fit into fewer requests than may be in flight is spread over all of them, unless those would be small.
std::size_t BulkWriter::Call::request_bytes() const {
  const auto share = batch_bytes_ / static_cast<std::size_t>(flow_.in_flight());
  return std::min(flow_.bytes(), std::max(share, BulkFlow::bytes_floor));
}

void BulkWriter::Call::send() {
  const std::size_t bytes_max = request_bytes();
  Request request;
  std::string body;
  while (!queue_.empty()) {
    const std::size_t before = body.size();
    const Place& place = queue_.front();
    append_bulk_item(body, place.batch->documents[place.number], version_);
    if (before > 0 && body.size() > bytes_max) {
      body.resize(before);
      break;
    }
    request.places.push_back(place);
    queue_.pop_front();
  }
  request.bytes = body.size();
  request.node = engine_.node();
  const auto tag = next_tag_++;
  engine_.client().start(tag, engine_.bulk_request(writer_.path_, std::move(body)));
  in_flight_.emplace(tag, std::move(request));
}

void BulkWriter::Call::ended(HttpOutcome outcome) {
  const Request request = std::move(in_flight_.extract(outcome.tag).mapped());
  if (!outcome.error) {
    silent_nodes_ = 0;
    answered(request, outcome.answer);
    return;
  }
  // The node of a request that ends late has been left already.
  if (request.node == engine_.node()) {
    if (!outcome.error->nothing_was_done() || ++silent_nodes_ == engine_.nodes()) engine_.fail(*outcome.error);
    engine_.next_node();
  }
  again(request.places);
}

void BulkWriter::Call::answered(const Request& request, const HttpAnswer& answer) {
  if (answer.status == 200)
    taken_apart(request, read_bulk_answer(answer.body, request.places.size()));
  else if (answer.status == 413)
    too_large(request);
  else if (answer.status == 429 || answer.status >= 500)
    put_off(request.places, false, reason_in(answer.body).text);
  else
    engine_.fail(answer);
}

void BulkWriter::Call::taken_apart(const Request& request, const std::vector<BulkItemResult>& results) {
  Places later;
  std::string reason;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const BulkItemResult& result = results[i];
    switch (result.fate) {
      case Fate::done:
        --request.places[i].batch->left;
        break;
      case Fate::refused:
        refuse(request.places[i], result.reason);
        break;
      case Fate::retry:
        later.push_back(request.places[i]);
        reason = result.reason;
        break;
      case Fate::blocked:
        engine_.fail_blocked(result.reason);
      case Fate::denied:
        engine_.fail_denied(result.reason);
      case Fate::missing:
        throw IndexError(IndexError::Kind::unreachable, fmt::format("the index is gone: {}", result.reason), "");
    }
  }
  if (!later.empty()) {
    put_off(later, later.size() < results.size(), reason);
    return;
  }
  backoff_.succeeded();
  flow_.taken();
}

void BulkWriter::Call::too_large(const Request& request) {
  if (request.places.size() == 1) {
    refuse(request.places.front(), fmt::format("the engine takes no request of {} bytes", request.bytes));
    return;
  }
  flow_.too_large(request.bytes);
  again(request.places);
}

void BulkWriter::Call::put_off(const Places& places, bool progress, const std::string& reason) {
  if (progress) backoff_.succeeded();
  const auto delay = with_jitter(backoff_.next());
  if (backoff_.failures() > attempts_max)
    throw IndexError(IndexError::Kind::busy,
                     fmt::format("the search engine asks for less, {} times in a row: {}", attempts_max, reason), "");
  flow_.pushed_back();
  not_before_ = Clock::now() + delay;
  again(places);
}

// The engine waits for a shard that has no node yet, but not for as long as we wait for the engine: so it can say why.
BulkWriter::BulkWriter(SearchEngine& engine, const std::string& alias)
    : engine_(engine),
      path_(fmt::format("/{}/_bulk?require_alias=true&timeout={}ms&{}", alias,
                        engine.settings().request_timeout.count() / 2, bulk_filter_path)),
      flow_(engine.settings().bulk_bytes_max, engine.settings().in_flight_max) {}

void BulkWriter::write_all(DocumentStream& stream, IndexVersion version) {
  Call(*this, stream, version).run();
}

}  // namespace anabranch
