#include "sidecar/pg/snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

namespace anabranch {
namespace {

// The number that `text` begins with, which is cut off it together with `separator` if one follows.
uint64_t take_number(std::string_view& text, char separator, std::string_view whole) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const size_t length = end - text.data();
  if (error != std::errc() || (length < text.size() && text[length] != separator))
    throw std::invalid_argument(fmt::format("not a snapshot: \"{}\"", whole));
  text.remove_prefix(std::min(length + 1, text.size()));
  return value;
}

}  // namespace

Snapshot Snapshot::parse(std::string_view text) {
  const std::string_view whole = text;
  Snapshot snapshot;
  snapshot.xmin_ = take_number(text, ':', whole);
  snapshot.xmax_ = take_number(text, ':', whole);
  // The same rules as the server's own input function; a list that broke them would make visible() answer wrongly.
  bool in_order = snapshot.xmin_ > 0 && snapshot.xmin_ <= snapshot.xmax_ && !whole.ends_with(',') &&
                  std::count(whole.begin(), whole.end(), ':') == 2;
  while (in_order && !text.empty()) {
    const uint64_t xid = take_number(text, ',', whole);
    in_order = xid >= snapshot.xmin_ && xid < snapshot.xmax_ &&
               (snapshot.in_progress_.empty() || xid >= snapshot.in_progress_.back());
    snapshot.in_progress_.push_back(xid);
  }
  if (!in_order) throw std::invalid_argument(fmt::format("not a snapshot: \"{}\"", whole));
  return snapshot;
}

bool Snapshot::visible(uint64_t xid) const {
  if (xid < xmin_) return true;
  if (xid >= xmax_) return false;
  return !std::binary_search(in_progress_.begin(), in_progress_.end(), xid);
}

std::string Snapshot::to_string() const {
  return fmt::format("{}:{}:{}", xmin_, xmax_, fmt::join(in_progress_, ","));
}

}  // namespace anabranch
