// Whatever bytes come in answer to a request to a search engine: each item has a fate and, unless it is done, a reason
// that fits into a line, or the answer is refused as a whole.
//
// The first byte is the number of items that were sent; the rest is the answer, which is read as one to a search, too.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sidecar/index/bulk.hpp"
#include "sidecar/index/engine_reason.hpp"
#include "sidecar/index/search_reader.hpp"
#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

constexpr size_t line_bytes_max = 700;

void check_line(std::string_view line) {
  if (line.size() > line_bytes_max || !is_utf8(line) || line.find('\n') != std::string_view::npos) std::abort();
}

void read(std::string_view answer, size_t items) {
  check_line(reason_in(answer).text);
  read_hits(nlohmann::json::parse(answer, nullptr, false));
  const auto results = read_bulk_answer(answer, items);
  if (results.size() != items) std::abort();
  for (const BulkItemResult& result : results) {
    if (result.reason.empty() != (result.fate == BulkItemResult::Fate::done)) std::abort();
    check_line(result.reason);
  }
}

}  // namespace
}  // namespace anabranch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  try {
    anabranch::read({reinterpret_cast<const char*>(data) + 1, size - 1}, data[0]);
  } catch (const anabranch::IndexError& error) {
    anabranch::check_line(error.what());
  }
  return 0;
}
