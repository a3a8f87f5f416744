// For bench/publish: what a publisher without exactly once would do. Loaded before librdkafka (LD_PRELOAD), it takes
// the transactions, and the numbering of batches that detects repetitions, out of the producer of the very program that
// is measured, and leaves all the rest: what is read, formatted, sent, waited for (acks=all) and recorded.
//
// The program expects a mark of the brokers' behind each transaction in each partition. Here are none, so offsets are
// told as if there were. How many would be there stands in the file WITHOUT_TRANSACTIONS_MARKS from one process to the
// next.
#include <librdkafka/rdkafka.h>

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace {

using Partition = std::pair<std::string, int32_t>;
using Delivered = void (*)(rd_kafka_t*, const rd_kafka_message_t*, void*);

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// Producer and questions are of one thread each; the ends of topics are asked by another.
class Marks {
 public:
  Marks() {
    std::ifstream file(path());
    Partition partition;
    for (int64_t count = 0; file >> partition.first >> partition.second >> count;) counts_[partition] = count;
  }
  ~Marks() {
    if (counts_.empty()) return;
    std::ofstream file(path());
    for (const auto& [partition, count] : counts_)
      file << partition.first << ' ' << partition.second << ' ' << count << '\n';
  }

  int64_t of(const Partition& partition) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(partition);
    return found == counts_.end() ? 0 : found->second;
  }
  void write_to(const Partition& partition) {
    const std::lock_guard lock(mutex_);
    touched_.insert(partition);
  }
  void end_transaction() {
    const std::lock_guard lock(mutex_);
    for (const Partition& partition : touched_) ++counts_[partition];
    touched_.clear();
  }

 private:
  static const char* path() {
    const char* path = std::getenv("WITHOUT_TRANSACTIONS_MARKS");
    return path == nullptr ? "" : path;
  }

  std::mutex mutex_;
  std::map<Partition, int64_t> counts_;
  std::set<Partition> touched_;
};

Marks& marks() {
  static Marks marks;
  return marks;
}

Delivered delivered = nullptr;

}  // namespace

extern "C" {

rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t* configuration, const char* name, const char* value, char* reason,
                                      size_t reason_size) {
  static const auto set = real<decltype(rd_kafka_conf_set)>("rd_kafka_conf_set");
  if (std::strcmp(name, "transactional.id") == 0) return RD_KAFKA_CONF_OK;
  if (std::strcmp(name, "enable.idempotence") == 0) value = "false";
  return set(configuration, name, value, reason, reason_size);
}

void rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t* configuration, Delivered callback) {
  static const auto set = real<decltype(rd_kafka_conf_set_dr_msg_cb)>("rd_kafka_conf_set_dr_msg_cb");
  delivered = callback;
  set(configuration, [](rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque) {
    rd_kafka_message_t told = *message;
    const Partition partition(rd_kafka_topic_name(message->rkt), message->partition);
    told.offset += marks().of(partition);
    marks().write_to(partition);
    delivered(client, &told, opaque);
  });
}

rd_kafka_resp_err_t rd_kafka_query_watermark_offsets(rd_kafka_t* client, const char* topic, int32_t partition,
                                                     int64_t* low, int64_t* high, int wait_ms) {
  static const auto query = real<decltype(rd_kafka_query_watermark_offsets)>("rd_kafka_query_watermark_offsets");
  const rd_kafka_resp_err_t code = query(client, topic, partition, low, high, wait_ms);
  // Progress is not judged by where it ends, but read up to there.
  const std::string_view name(topic);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && !name.ends_with(".progress")) *high += marks().of({topic, partition});
  return code;
}

rd_kafka_error_t* rd_kafka_init_transactions(rd_kafka_t*, int) {
  return nullptr;
}
rd_kafka_error_t* rd_kafka_begin_transaction(rd_kafka_t*) {
  return nullptr;
}
// The publisher has flushed before.
rd_kafka_error_t* rd_kafka_commit_transaction(rd_kafka_t*, int) {
  marks().end_transaction();
  return nullptr;
}
rd_kafka_error_t* rd_kafka_abort_transaction(rd_kafka_t*, int) {
  return nullptr;
}
}
