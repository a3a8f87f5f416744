// The relations that records of the topics name by their fingerprint.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "sidecar/log/topic_reader.hpp"

namespace anabranch {

// Reads `<prefix>.relation` as far as it has to and keeps what it has read. A description is committed together with
// the first records that need it, though a broker may show it a moment later: it is waited for.
class TopicRelations {
 public:
  // `reader` must outlive the object.
  TopicRelations(TopicReader& reader, std::string topic);

  // Throws LogError(damaged) when the topic does not have it.
  const std::shared_ptr<const Relation>& find(uint64_t fingerprint);

 private:
  bool read_on();

  TopicReader& reader_;
  const std::string topic_;
  int64_t next_ = -1;  // -1: nothing has been read
  std::unordered_map<uint64_t, std::shared_ptr<const Relation>> relations_;
};

}  // namespace anabranch
