#include "sidecar/log/topic_tail.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace anabranch {
namespace {

// Of the transaction topic; each that was not enough makes the next so many times as long.
constexpr int64_t window_records = 256;
constexpr int64_t window_growth = 4;

// Takes the records of the transaction topic in order, from any place on.
class Window {
 public:
  Window(uint64_t count, const std::set<std::string>& topics) : count_(count), topics_(topics) {}

  void take(const PartRecord& part) {
    if (part.content) return;  // rows that existed are no transaction
    if (part.begin || part.is_position()) {
      begun_ = true;
      before_begin_ = end_offset_;
      shown_ = false;
    }
    for (const SpanRecord& span : part.spans) shown_ = shown_ || topics_.empty() || topics_.contains(span.topic);
    if (!part.end && !part.is_position()) return;
    last_end_ = part.end_lsn;
    end_offset_ = part.offset;
    // Of a transaction that began before the window nothing is known.
    if (!begun_ || !shown_ || count_ == 0) return;
    last_offset_ = part.offset;
    before_.emplace_back(part.previous_end_lsn, before_begin_);
    if (before_.size() > count_) before_.pop_front();
  }

  TopicTail tail() const {
    if (before_.empty()) return {last_end_, end_offset_, last_offset_, 0};
    return {before_.front().first, before_.front().second, last_offset_, before_.size()};
  }

 private:
  const uint64_t count_;
  const std::set<std::string>& topics_;
  bool begun_ = false, shown_ = false;
  Lsn last_end_;
  std::optional<int64_t> end_offset_, before_begin_;  // where the last unit ends, and the one before the one under way
  int64_t last_offset_ = -1;
  std::deque<std::pair<Lsn, std::optional<int64_t>>> before_;  // where the units before those that count end
};

}  // namespace

TopicTail find_tail(TopicReader& reader, const std::string& transaction_topic, uint64_t count,
                    const std::set<std::string>& topics) {
  const auto bounds = reader.bounds(transaction_topic, 0);
  if (!bounds) return {};
  for (int64_t size = window_records;; size *= window_growth) {
    const int64_t begin = std::max(bounds->first, bounds->end - size);
    Window window(count, topics);
    for_each_record(reader, transaction_topic, 0, begin, bounds->end,
                    [&](const TopicRecord& record) { window.take(read_part(record)); });
    const TopicTail tail = window.tail();
    if (begin == bounds->first || (tail.count >= count && tail.from.valid())) return tail;
  }
}

}  // namespace anabranch
