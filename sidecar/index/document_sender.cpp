#include "sidecar/index/document_sender.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

namespace anabranch {
namespace {

constexpr std::size_t batches_max = 2;  // on their way, while another is being read

template <typename T>
void append(std::vector<T>& to, std::vector<T> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

// Between the thread that reads and the one that writes.
class DocumentSender::Queue : public DocumentStream {
 public:
  explicit Queue(const DocumentSender& sender) : sender_(sender) {}

  // By the thread that reads. False: nothing is written any more.
  bool push(DocumentBatch batch, Former former, std::chrono::steady_clock::time_point until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [&] { return batches_.size() < batches_max || broken_; });
    batches_.push_back({std::move(batch), sender_.former_ && former == Former::written, {}});
    changed_.notify_all();
    return !broken_;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // What has not been begun is not to be written.
  void abandon() {
    const std::lock_guard lock(mutex_);
    closed_ = abandoned_ = true;
    changed_.notify_all();
  }
  // When the other thread has ended.
  Sent& sent() { return sent_; }

  // By the thread that writes.
  void broke() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }
  std::optional<std::span<const Document>> next(bool wait) override;
  void finish(std::vector<RefusedDocument> refused) override;

 private:
  struct Batch {
    DocumentBatch read;
    bool to_former;
    std::vector<RefusedDocument> refused_by_former;
  };

  const DocumentSender& sender_;
  Sent sent_;  // by the thread that writes
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> batches_;   // not finished yet; guarded by mutex_, as are the next
  std::size_t handed_out_ = 0;  // of them
  bool closed_ = false;         // no more will come
  bool abandoned_ = false;
  bool broken_ = false;  // the thread that writes has ended by an exception
};

std::optional<std::span<const Document>> DocumentSender::Queue::next(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) changed_.wait(lock, [&] { return handed_out_ < batches_.size() || closed_; });
  if (abandoned_ || handed_out_ == batches_.size()) return std::nullopt;
  Batch& batch = batches_[handed_out_];
  // Nobody attends to what is on its way to the index while the former generation is written.
  if (batch.to_former && !wait) return std::nullopt;
  ++handed_out_;
  lock.unlock();
  const std::span<const Document> documents = batch.read.documents();
  if (batch.to_former) batch.refused_by_former = sender_.former_->write(documents, sender_.version_);
  return documents;
}

void DocumentSender::Queue::finish(std::vector<RefusedDocument> refused) {
  const std::lock_guard lock(mutex_);
  const Batch& batch = batches_.front();
  const std::vector<Document>& documents = batch.read.documents();
  sent_.documents += static_cast<int64_t>(documents.size());
  append(sent_.parked, batch.read.parked());
  if (sender_.keep_taken_) append(sent_.taken, batch.read.keyless());
  std::vector<bool> is_refused(documents.size());
  for (RefusedDocument& one : refused) {
    const Document& document = documents[one.place];
    if (!document.content) continue;  // what cannot be there need not be removed
    is_refused[one.place] = true;
    sent_.parked.push_back(
        {std::string(document.key), static_cast<int64_t>(document.content->size()), std::move(one.reason)});
  }
  // What both refuse is a matter of the document, not of the generation.
  for (const RefusedDocument& one : batch.refused_by_former)
    if (documents[one.place].content && !is_refused[one.place]) sent_.former_refuses = true;
  for (std::size_t place = 0; sender_.keep_taken_ && place < documents.size(); ++place)
    if (!is_refused[place]) sent_.taken.emplace_back(documents[place].key);
  batches_.pop_front();
  --handed_out_;
  changed_.notify_all();
}

DocumentSender::DocumentSender(ExternalIndex& index, ExternalIndex* former, IndexVersion version, bool keep_taken)
    : index_(index), former_(former), version_(version), keep_taken_(keep_taken) {}

DocumentSender::~DocumentSender() {
  if (!queue_) return;
  queue_->abandon();
  if (writer_.valid()) writer_.wait();
}

void DocumentSender::send(DocumentBatch batch, Former former, std::chrono::steady_clock::time_point until) {
  if (batch.rows() == 0) return;
  if (!queue_) {
    queue_ = std::make_unique<Queue>(*this);
    writer_ = std::async(std::launch::async, [this, queue = queue_.get()] {
      try {
        index_.write_all(*queue, version_);
      } catch (...) {
        queue->broke();
        throw;
      }
    });
  }
  if (!queue_->push(std::move(batch), former, until)) writer_.get();
}

Sent DocumentSender::finish() {
  if (!queue_) return {};
  queue_->close();
  writer_.get();
  Sent sent = std::move(queue_->sent());
  queue_.reset();
  return sent;
}

}  // namespace anabranch
