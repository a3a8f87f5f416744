#include "sidecar/pg/server_history.hpp"

#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "sidecar/pg/replication_stream.hpp"

namespace anabranch {
namespace {

// Where a line of history was left, by the file that TIMELINE_HISTORY of a later one shows: lines of "timeline,
// position, reason".
std::optional<Lsn> switch_position(std::string_view history, uint32_t timeline) {
  std::istringstream lines{std::string(history)};
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    uint32_t left = 0;
    std::string position;
    if (fields >> left >> position && left == timeline) return Lsn::parse(position);
  }
  return std::nullopt;
}

}  // namespace

ServerHistory server_history(ConnectOptions options, uint32_t timeline) {
  options.application_name = "anabranch identity";
  ReplicationStream stream(std::move(options));
  const SystemIdentity identity = stream.identify_system();
  ServerHistory found{identity.system_identifier, identity.timeline, identity.flushed, std::nullopt};
  if (timeline != 0 && timeline < identity.timeline) {
    const Result history = stream.exec(fmt::format("TIMELINE_HISTORY {}", identity.timeline));
    found.switched_at = switch_position(history.text(0, 1), timeline);
  }
  return found;
}

std::optional<std::string> missing_history(const ServerHistory& server, Lsn reached, uint32_t timeline) {
  if (server.timeline > timeline) {
    if (server.switched_at && reached <= *server.switched_at) return std::nullopt;
    return fmt::format("reach to {} on timeline {}, which this server left at {} for timeline {}", reached.to_string(),
                       timeline, server.switched_at ? server.switched_at->to_string() : "an unknown position",
                       server.timeline);
  }
  if (server.timeline < timeline || server.flushed < reached)
    return fmt::format("reach to {} on timeline {}, and this server's WAL ends at {} on timeline {}",
                       reached.to_string(), timeline, server.flushed.to_string(), server.timeline);
  return std::nullopt;
}

}  // namespace anabranch
