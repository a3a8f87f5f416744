// Whatever stands in the topics: the reader makes transactions of it or throws LogError, within bounds.
//
// The first byte says how the rest is read: as records of the three kinds of topic, each after a byte that says which
// and a byte with its length, or as one value or header alone, which counts and checksums would otherwise keep out of
// reach.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "sidecar/log/topic_transactions.hpp"

namespace anabranch {
namespace {

// A topic of each kind with one partition; a data record's headers are as the reader wants them, its value anything.
class Topics : public TopicReader {
 public:
  std::array<std::vector<std::string>, 3> values;  // transaction, relation, rows

  std::optional<Bounds> bounds(const std::string& topic, int32_t) override {
    return Bounds{0, static_cast<int64_t>(of(topic).size())};
  }
  TopicRead read(const std::string& topic, int32_t, int64_t first, int64_t last, std::chrono::milliseconds) override {
    const std::vector<std::string>& all = of(topic);
    const auto size = static_cast<int64_t>(all.size());
    if (first > size) throw LogError(LogError::Kind::gap, "beyond the end");
    TopicRead read;
    for (read.next = first; read.next < size && read.next <= last; ++read.next) {
      TopicRecord& record = read.records.emplace_back();
      record.offset = read.next;
      record.key = std::string_view("\0\0\0\0\0\0\0\1", 8);
      record.value = all[static_cast<size_t>(read.next)];
      record.headers = {
          "0/2", numbers[static_cast<size_t>(read.next) % numbers.size()], "1", "c", "0", "0000000000000001", ""};
    }
    read.at_end = read.next >= size;
    return read;
  }
  void release(const std::string&, int32_t) override {}

 private:
  static constexpr std::array<std::string_view, 4> numbers{"1", "2", "3", "4"};
  const std::vector<std::string>& of(const std::string& topic) const {
    return values[topic == "transaction" ? 0 : topic == "relation" ? 1 : 2];
  }
};

void read_topics(std::string_view input) {
  Topics topics;
  while (input.size() >= 2) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(input[1]), input.size() - 2);
    topics.values[static_cast<uint8_t>(input[0]) % 3].emplace_back(input.substr(2, size));
    input.remove_prefix(2 + size);
  }
  TopicTransactionsOptions options;
  options.transaction_topic = "transaction";
  options.relation_topic = "relation";
  options.message_prefix = "message.";
  TopicTransactions transactions(topics, options, Lsn(1), std::nullopt);
  const WantedColumns wanted{{0, {}}, {1, {1, 2, 3}}};
  size_t pieces = 0;
  while (transactions.next(std::chrono::milliseconds(0), wanted))
    if (++pieces > topics.values[0].size()) std::abort();  // one a record
}

void read_alone(std::string_view input, uint8_t kind) {
  TopicRecord record;
  TopicRow row;
  switch (kind % 5) {
    case 0:
      record.value = input;
      read_part(record);
      break;
    case 1:
      read_topic_row(input, row);
      break;
    case 2:
      read_number_header(input);
      break;
    case 3:
      read_fingerprint_header(input);
      break;
    case 4:
      if (const FragmentPlace place = read_fragment_header(input); place.slice > place.slices) std::abort();
      break;
  }
}

}  // namespace
}  // namespace anabranch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] < 128)
      anabranch::read_topics(input);
    else
      anabranch::read_alone(input, data[0]);
  } catch (const anabranch::LogError&) {
  }
  return 0;
}
