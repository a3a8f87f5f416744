// Documents of one turn on their way to the index, while more are being read.
#pragma once

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/index/document_batch.hpp"
#include "sidecar/index/index.hpp"

namespace anabranch {

// What has come of the documents of batches. Their keys are JSON.
struct Sent {
  int64_t documents = 0;
  std::vector<ParkedDocument> parked;  // refused, or such as no index can have
  std::vector<std::string> taken;      // those of all others, where they were asked for
  bool former_refuses = false;         // what the index takes
};

// Batches are written by a thread of its own, in the order in which they came; a few are on their way at once, each
// held until it has been acknowledged. For one thread; from the first send() to finish() the indexes are not to be used
// by anybody else.
class DocumentSender {
 public:
  // `former`: a generation that is written, too, where send() says so; may be null. Both must outlive the object.
  DocumentSender(ExternalIndex& index, ExternalIndex* former, IndexVersion version, bool keep_taken);
  ~DocumentSender();
  DocumentSender(const DocumentSender&) = delete;
  DocumentSender& operator=(const DocumentSender&) = delete;

  // Takes what is to be sent, and waits while as many batches are on their way as may be, but not beyond `until`: it is
  // held then as well, and finish() is to be the next call but one at most. Throws what an index has thrown.
  enum class Former { written, left };
  void send(DocumentBatch batch, Former former, std::chrono::steady_clock::time_point until);
  // When this returns everything has been acknowledged or refused: what has come of it since the last call. Throws as
  // send().
  Sent finish();

 private:
  class Queue;

  ExternalIndex& index_;
  ExternalIndex* const former_;
  const IndexVersion version_;
  const bool keep_taken_;
  std::unique_ptr<Queue> queue_;  // while something is on its way
  std::future<void> writer_;
};

}  // namespace anabranch
