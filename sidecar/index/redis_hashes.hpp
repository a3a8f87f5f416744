// Hashes set by plain commands: to do the same in a function takes Redis twice as long.
//
//   1. WATCH the checkpoint, and read it: it must be as the index was opened, and no document may have a later version.
//   2. MULTI; HSET each hash, all entries among the index's documents, and the version reached; EXEC. Redis carries
//      out all of it or, when somebody has touched the checkpoint since step 1, nothing. Where hashes have been there
//      it is asked after each how long it is, otherwise before all whether any is there.
//   3. What was not done, and a hash that may hold more than its document's fields, is left to the function "write",
//      which says why it fails and removes what is too much.
//
// Batches take turns at two sessions: Redis carries out one while the answers to the one before are read and the next
// is made, and has that, as far as the socket takes it, when it comes to it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_connection.hpp"

namespace anabranch {

class RedisHashes {
 public:
  // The index's own keys, and what its checkpoint holds since it was opened.
  struct Index {
    std::string documents, checkpoint, identity, token, generation;
  };
  // `bytes_max`: about so much is sent in one transaction, or one document. `argument_bytes_max`: of Redis.
  RedisHashes(Index index, std::size_t bytes_max, std::size_t argument_bytes_max)
      : index_(std::move(index)), bytes_max_(bytes_max), argument_bytes_max_(argument_bytes_max) {}

  // Sets those of the documents that are to be there; `version` is as in the entries of redis_functions.hpp. Returns
  // the places of those that are left to the function "write". `second` is called when one transaction is not enough,
  // for another session with the same server, or null: none is to be had. Neither session may have anything under way.
  // Throws IndexError; what is under way then is unknown.
  std::vector<std::size_t> set(RedisConnection& first, const std::function<RedisConnection*()>& second,
                               std::span<const Document> documents, std::string_view version);

 private:
  struct Batch;

  Batch make_batch(std::span<const Document> documents, std::string_view version, std::size_t& next,
                   std::vector<std::size_t>& left) const;
  void look(RedisConnection& redis) const;
  bool may_set(RedisConnection& redis, std::string_view version);
  void put(RedisConnection& redis, Batch& batch, std::string_view version) const;
  void take(RedisConnection& redis, const Batch& batch, std::vector<std::size_t>& left);

  const Index index_;
  const std::size_t bytes_max_, argument_bytes_max_;
  bool reached_ = false;     // the checkpoint has the version already
  bool ask_lengths_ = true;  // hashes of the batch that was last answered were there already
};

}  // namespace anabranch
