#include "sidecar/index/tombstones.hpp"

#include <string>

#include <fmt/format.h>

#include "sidecar/index/mapping.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

const std::string deleted_field = fmt::format("{}.deleted", own_field);

}  // namespace

void TombstonePurge::written(IndexVersion version, Clock::time_point now) {
  if (writes_.empty() || now - writes_.back().first >= spacing) writes_.emplace_back(now, version);
}

std::optional<IndexVersion> TombstonePurge::due(Clock::time_point now) {
  if (last_ && now - *last_ < interval) return std::nullopt;
  std::optional<IndexVersion> version;
  for (; !writes_.empty() && now - writes_.front().first >= kept; writes_.pop_front()) version = writes_.front().second;
  if (version) last_ = now;
  return version;
}

json tombstones_before(IndexVersion version) {
  return {{"range", {{deleted_field, {{"lt", version}}}}}};
}

json no_tombstones() {
  return {{"bool", {{"must_not", {{"exists", {{"field", deleted_field}}}}}}}};
}

}  // namespace anabranch
