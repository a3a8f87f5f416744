// How the topics are read:
//   1. The last record of the progress topic says which server the topics are of. Another one's are refused: its
//      positions mean nothing here. So are those that reach beyond what this server ever had, as after a failover.
//   2. A thread puts transactions together and queues their pieces. While the queue is full it does not read, so Kafka
//      keeps them; each partition is read ahead within librdkafka's own bounds.
//   3. Topics that are not there yet are waited for: the publisher may start later.
#include "sidecar/log/kafka_log.hpp"

#include <fmt/format.h>

#include "sidecar/log/kafka_topic_reader.hpp"
#include "sidecar/log/log_reader.hpp"
#include "sidecar/log/topic_transactions.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/topic/topic.pb.h"
#include "sidecar/topic/topic_names.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds read_wait = 200ms;
constexpr milliseconds topics_wait = 500ms;
// The last progress record is the last but for the marker that commits it; other sources may write between.
constexpr int64_t progress_tail = 64;

}  // namespace

struct KafkaLog::Impl {
  explicit Impl(KafkaLogOptions given)
      : options(std::move(given)), names(options.prefix), reader(options.queue_bytes_max) {}

  void run(Lsn from, Stop& ending);
  void check_source(const Stop& ending);

  const KafkaLogOptions options;
  const TopicNames names;
  std::unique_ptr<KafkaTopicReader> topics;  // the reader's, while it runs
  LogReader reader;                          // last: its thread uses the others
};

void KafkaLog::Impl::check_source(const Stop& ending) {
  if (options.system_identifier.empty()) return;
  const std::string topic = names.progress();
  const auto bounds = topics->bounds(topic, 0);
  if (!bounds) return;
  topic::v1::Progress last;
  const int64_t first = std::max(bounds->first, bounds->end - progress_tail);
  for_each_record(*topics, topic, 0, first, bounds->end, [&](const TopicRecord& record) {
    if (record.key == options.source && record.has_value)
      last.ParseFromArray(record.value.data(), static_cast<int>(record.value.size()));
  });
  topics->release(topic, 0);
  if (last.system_identifier().empty()) return;
  if (last.system_identifier() == options.system_identifier) {
    if (!options.history || last.timeline() == 0) return;
    // A transaction of which the topics hold parts is counted to its end.
    const Lsn reached(std::max(last.lsn(), last.part_end_lsn()));
    const auto missing = missing_history(options.history(last.timeline(), ending), reached, last.timeline());
    if (missing)
      throw LogError(LogError::Kind::other_system,
                     fmt::format("the topics \"{}.*\" {}: they hold transactions that it never had, or has no more; "
                                 "run \"anabranch adopt\" if this server has taken their server's place",
                                 options.prefix, *missing));
    return;
  }
  throw LogError(LogError::Kind::other_system,
                 fmt::format("the topics \"{}.*\" are those of the server with system identifier {}, this one's is {}: "
                             "set another kafka.prefix, or run \"anabranch adopt\" if this server has taken its place",
                             options.prefix, last.system_identifier(), options.system_identifier));
}

void KafkaLog::Impl::run(Lsn from, Stop& ending) {
  try {
    check_source(ending);
    TopicTransactionsOptions wanted;
    wanted.transaction_topic = names.transaction();
    wanted.relation_topic = names.relation();
    wanted.message_prefix = names.message_prefix();
    wanted.always_wanted = {{"anabranch", "ddl"}};
    TopicTransactions transactions(*topics, wanted, from, options.offset);
    bool told = false;
    while (!ending.requested()) {
      if (!reader.queue.wait_for_room(read_wait)) continue;
      if (auto piece = transactions.next(read_wait, *reader.wanted())) {
        std::vector<TransactionPiece> pieces;
        pieces.push_back(std::move(*piece));
        reader.queue.push(pieces);
      } else if (!transactions.placed()) {
        if (!told) log_info("nothing has been published yet, waiting", {{"topic", names.transaction()}});
        told = true;
        ending.wait(topics_wait);
      }
    }
  } catch (const Interrupted&) {
  } catch (const LogError& error) {
    throw LogError(error.kind(), fmt::format("{}; nothing after {} was read whole", error.what(),
                                             reader.queue.position().to_string()));
  }
}

KafkaLog::KafkaLog(KafkaLogOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

KafkaLog::~KafkaLog() {
  stop();
}

void KafkaLog::start(Lsn from) {
  stop();
  Stop& ending = impl_->reader.prepare(from);
  impl_->topics = std::make_unique<KafkaTopicReader>(impl_->options.properties, ending);
  log_debug("reading the topics", {{"prefix", impl_->options.prefix}, {"from", from}});
  impl_->reader.begin("kafka-reader", [this, from, &ending] { impl_->run(from, ending); });
}

void KafkaLog::stop() noexcept {
  impl_->reader.end();
  impl_->topics.reset();
}

std::optional<TransactionPiece> KafkaLog::next(milliseconds wait) {
  return impl_->reader.queue.pop(wait);
}

Lsn KafkaLog::read_position() const {
  return impl_->reader.queue.position();
}

void KafkaLog::acknowledge(Lsn) {}

void KafkaLog::want(WantedColumns columns) {
  impl_->reader.want(std::move(columns));
}

}  // namespace anabranch
