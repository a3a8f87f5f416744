// For bench/publish: what a publisher without exactly once would do. Loaded before librdkafka (LD_PRELOAD), it takes
// the transactions, and the numbering of batches that detects repetitions, out of the producer of the very program that
// is measured, and leaves all the rest: what is read, formatted, sent, waited for (acks=all) and recorded.
#include <librdkafka/rdkafka.h>

#include <dlfcn.h>

#include <cstring>

extern "C" {

rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t* configuration, const char* name, const char* value, char* reason,
                                      size_t reason_size) {
  using ConfSet = decltype(&rd_kafka_conf_set);
  static const auto real = reinterpret_cast<ConfSet>(dlsym(RTLD_NEXT, "rd_kafka_conf_set"));
  if (std::strcmp(name, "transactional.id") == 0) return RD_KAFKA_CONF_OK;
  if (std::strcmp(name, "enable.idempotence") == 0) value = "false";
  return real(configuration, name, value, reason, reason_size);
}

rd_kafka_error_t* rd_kafka_init_transactions(rd_kafka_t*, int) {
  return nullptr;
}
rd_kafka_error_t* rd_kafka_begin_transaction(rd_kafka_t*) {
  return nullptr;
}
// The publisher has flushed before.
rd_kafka_error_t* rd_kafka_commit_transaction(rd_kafka_t*, int) {
  return nullptr;
}
rd_kafka_error_t* rd_kafka_abort_transaction(rd_kafka_t*, int) {
  return nullptr;
}
}
