// The ways in which a document may lie in Redis, and what each makes of its contents.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_connection.hpp"

namespace anabranch {

enum class RedisShape {
  json,        // a string
  hash,        // a hash: of each column that is not NULL a field
  sorted_set,  // a member of a sorted set, with a score
  set          // a member of a set
};

// By the names that the option "shape" has, which the functions in Redis know too.
std::optional<RedisShape> parse_redis_shape(std::string_view name);
std::string_view name_of(RedisShape shape);
bool has_members(RedisShape shape);

// A number of bytes, or for shape "hash" of fields, that the function "read" needs as its limit to let this document be
// compared.
std::size_t read_limit(RedisShape shape, const Document& expected);

// At most so many documents are written at once: Redis serves nobody else meanwhile.
constexpr std::size_t redis_batch_documents_max = 500;
// About what a document takes on its way.
std::size_t bytes_of(const Document& document);

// What is kept about a document among those of its index, as redis_entry.hpp lays it out.
std::string entry_of(const Document& document, std::string_view version);

// Of an argument, where Redis does not say otherwise (its proto-max-bulk-len): it ends the session over a larger one.
constexpr std::size_t redis_argument_bytes_max = std::size_t{512} << 20;

// Adds the fields and values of a document of shape "hash", each an argument. Returns how many fields there are;
// nullopt where Redis would not take it, and then some may have been added. `argument_bytes_max` is of all of them
// together, as where the function "write" takes them: that is asked then.
std::optional<std::size_t> add_fields(const Document& document, std::size_t argument_bytes_max,
                                      RedisArguments& arguments);

// Adds what the function "write" takes of a document, besides its target; `version` is as in the entries that it keeps.
// Returns why, and adds nothing, where Redis would not take it.
std::optional<std::string> add_document(RedisShape shape, const Document& document, std::string_view version,
                                        std::size_t argument_bytes_max, RedisArguments& arguments);

// What the function "read" has found at the document's target, `type` and `value`, against what is expected. Fills in
// present, equal and actual.
FoundDocument compare(RedisShape shape, const Document& expected, std::string_view type, const redisReply& value);

// A document by its identity, as the functions make it; nullopt for what is none.
std::optional<HeldDocument> held_document(RedisShape shape, std::string_view identity, std::string_view key);

}  // namespace anabranch
