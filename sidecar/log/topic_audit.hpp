// Whether the topics of a source hold what they must: every transaction once, whole, in order, and nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sidecar/log/topic_transactions.hpp"

namespace anabranch {

// What an audit has read.
struct AuditReport {
  uint64_t transactions = 0, positions = 0, records = 0;  // a truncate is one record
  uint64_t rows = 0;                                      // that existed, beside them
  uint64_t expired = 0;          // units at the beginning whose rows retention has removed, in part at least
  uint64_t accepted_losses = 0;  // places where the source was adopted, and changes are not in the topics
  uint64_t unfinished = 0;       // parts at the end, of a transaction whose last part is not there
  Lsn first, last;               // what lies between has been read: after `first`, up to `last`
  int64_t offset = 0, end = 0;   // in the transaction topic: reached, and to be reached
};

struct AuditOptions {
  std::string transaction_topic, relation_topic, message_prefix;
  // Called now and then, with what has been read so far.
  std::function<void(const AuditReport&)> progress;
};

// Reads everything that is committed when it is called. Throws LogError for the first violation it comes to, naming
// topic, partition, offset and transaction: `damaged` for what no publisher writes, `gap` for what is missing;
// Interrupted; what the reader throws. Topics that hold nothing at all are no violation.
//
// What retention has removed is none either: the audit begins after the last transaction that it has touched.
AuditReport audit_topics(TopicReader& reader, const AuditOptions& options);

}  // namespace anabranch
