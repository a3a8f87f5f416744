#include "sidecar/publish/content_window.hpp"

#include <algorithm>

#include "sidecar/publish/rows.hpp"

namespace anabranch {
namespace {

// Of an entry, beside its bytes.
constexpr size_t touch_overhead_bytes = 160;

bool is_partial(const PublishedChange& change) {
  return change.operation == RowOperation::update && change.unchanged != nullptr && !change.unchanged->empty() &&
         (change.after_gaps == nullptr || change.after_gaps->empty());
}

}  // namespace

void ContentWindow::touch(uint64_t xid, const PublishedChange& change, std::string_view key, uint64_t key_shape) {
  if (shapes_.empty() || shapes_.back().first != key_shape) shapes_.emplace_back(key_shape, xid);
  shapes_.back().second = xid;
  if (overflown()) return;  // nothing will be judged by it any more
  std::vector<Touch>& touches = touches_[std::string(key)];
  Touch touch;
  touch.xid = xid;
  touch.partial = is_partial(change);
  if (touch.partial) {
    touch.after = change.after;
    touch.unchanged = *change.unchanged;
  } else if (!touches.empty() && touches.back().xid == xid && !touches.back().partial) {
    return;  // nothing new
  }
  bytes_ += touch_overhead_bytes + (touches.empty() ? key.size() : 0) + touch.after.size() +
            touch.unchanged.size() * sizeof(uint32_t);
  touches.push_back(std::move(touch));
}

bool ContentWindow::can_judge(const Snapshot& snapshot, uint64_t key_shape) const {
  const auto seen = [&](uint64_t xid) { return snapshot.visible(xid); };
  return !overflown() && std::all_of(voided_by_.begin(), voided_by_.end(), seen) &&
         std::all_of(shapes_.begin(), shapes_.end(), [&](const auto& shape) {
           return shape.first == key_shape || key_shape == 0 || seen(shape.second);
         });
}

// Who changes a row waits until the one before is visible: those that the snapshot shows come first.
ContentWindow::Verdict ContentWindow::judge(const Snapshot& snapshot, std::string_view key, std::string& row,
                                            std::vector<Gap>& gaps) const {
  const auto found = touches_.find(std::string(key));
  if (found == touches_.end()) return Verdict::stands;
  Verdict verdict = Verdict::stands;
  std::string merged = row;
  std::vector<Gap> merged_gaps = gaps;
  std::vector<uint32_t> missing;
  for (const Touch& touch : found->second) {
    if (snapshot.visible(touch.xid)) continue;
    if (!touch.partial) return Verdict::dropped;
    verdict = Verdict::merged;
    merged = fill_columns(touch.after, merged, touch.unchanged, missing);
    std::erase_if(merged_gaps, [&](const Gap& gap) {
      return std::find(missing.begin(), missing.end(), gap.number) == missing.end();
    });
  }
  if (verdict == Verdict::merged) {
    row = std::move(merged);
    gaps = std::move(merged_gaps);
  }
  return verdict;
}

}  // namespace anabranch
