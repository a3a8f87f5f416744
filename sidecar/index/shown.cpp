#include "sidecar/index/shown.hpp"

#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

using nlohmann::json;

constexpr std::size_t escape_bytes_max = 6;  // of one byte as JSON: \u0000

}  // namespace

std::string shown(std::string_view contents) {
  if (contents.size() <= actual_bytes_max && json::accept(contents)) return std::string(contents);
  const std::string beginning(contents.substr(0, actual_bytes_max / escape_bytes_max - 1));
  return json(beginning).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace anabranch
