#include "sidecar/index/bulk_writer.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
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
constexpr std::size_t item_bytes = 200;  // what an item takes beyond its content, roughly

// So that several writers do not come back at the same time.
milliseconds with_jitter(milliseconds delay) {
  static thread_local std::minstd_rand random(std::random_device{}());
  return milliseconds(
      std::uniform_int_distribution<milliseconds::rep>(delay.count() / 2, delay.count() * 3 / 2)(random));
}

}  // namespace

// One call of write(). Requests that are in flight when it ends early are given up: the engine may still carry them
// out, which their versions make harmless.
class BulkWriter::Call {
 public:
  Call(BulkWriter& writer, std::span<const Document> documents, IndexVersion version)
      : writer_(writer), engine_(writer.engine_), flow_(writer.flow_), documents_(documents), version_(version) {}
  ~Call() { engine_.client().cancel(); }

  std::vector<RefusedDocument> run();

 private:
  using Places = std::vector<std::size_t>;
  struct Request {
    Places places;
    std::size_t bytes = 0;
    std::size_t node = 0;
  };

  bool may_send() const;
  std::size_t request_bytes() const;
  void send();
  milliseconds time_to_wait() const;
  void ended(HttpOutcome outcome);
  void answered(const Request& request, const HttpAnswer& answer);
  void taken_apart(const Request& request, const std::vector<BulkItemResult>& results);
  void too_large(const Request& request);
  void put_off(const Places& places, bool progress, const std::string& reason);
  void again(const Places& places) { queue_.insert(queue_.begin(), places.begin(), places.end()); }

  BulkWriter& writer_;
  SearchEngine& engine_;
  BulkFlow& flow_;
  const std::span<const Document> documents_;
  const IndexVersion version_;
  std::size_t bytes_ = 0;  // of all documents, roughly
  std::deque<std::size_t> queue_;
  std::unordered_map<std::size_t, Request> in_flight_;  // by tag
  std::size_t next_tag_ = 0;
  std::size_t silent_nodes_ = 0;  // in a row
  Backoff backoff_{delay_min, delay_max};
  Clock::time_point not_before_{};
  std::vector<RefusedDocument> refused_;
};

std::vector<RefusedDocument> BulkWriter::Call::run() {
  for (std::size_t place = 0; place < documents_.size(); ++place) {
    bytes_ += item_bytes + documents_[place].content.value_or("").size();
    if (const auto size = documents_[place].id.size(); size > id_bytes_max)
      refused_.push_back({place, fmt::format("its _id has {} bytes; engines take {}", size, id_bytes_max)});
    else
      queue_.push_back(place);
  }
  while (!queue_.empty() || !in_flight_.empty()) {
    while (may_send()) send();
    if (in_flight_.empty()) {
      if (engine_.stop().wait(time_to_wait())) throw Interrupted();
    } else if (auto outcome = engine_.client().wait(time_to_wait())) {
      ended(std::move(*outcome));
    }
  }
  std::sort(refused_.begin(), refused_.end(), [](const auto& a, const auto& b) { return a.place < b.place; });
  return std::move(refused_);
}

bool BulkWriter::Call::may_send() const {
  return !queue_.empty() && std::cmp_less(in_flight_.size(), flow_.in_flight()) && Clock::now() >= not_before_;
}

// Until there may be more to send, or for an answer.
milliseconds BulkWriter::Call::time_to_wait() const {
  const auto left = std::chrono::ceil<milliseconds>(not_before_ - Clock::now());
  return !queue_.empty() && left > 0ms ? left : engine_.settings().request_timeout;
}

// What would fit into fewer requests than may be in flight is spread over all of them, unless those would be small.
std::size_t BulkWriter::Call::request_bytes() const {
  const auto share = bytes_ / static_cast<std::size_t>(flow_.in_flight());
  return std::min(flow_.bytes(), std::max(share, BulkFlow::bytes_floor));
}

void BulkWriter::Call::send() {
  const std::size_t bytes_max = request_bytes();
  Request request;
  std::string body;
  while (!queue_.empty()) {
    const std::size_t before = body.size();
    append_bulk_item(body, documents_[queue_.front()], version_);
    if (before > 0 && body.size() > bytes_max) {
      body.resize(before);
      break;
    }
    request.places.push_back(queue_.front());
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
    if (outcome.error->kind() != HttpError::Kind::unreachable || ++silent_nodes_ == engine_.nodes())
      engine_.fail(*outcome.error);
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
        break;
      case Fate::refused:
        refused_.push_back({request.places[i], result.reason});
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
    refused_.push_back({request.places.front(), fmt::format("the engine takes no request of {} bytes", request.bytes)});
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

std::vector<RefusedDocument> BulkWriter::write(std::span<const Document> documents, IndexVersion version) {
  return Call(*this, documents, version).run();
}

}  // namespace anabranch
