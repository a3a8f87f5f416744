// The fields of a hash, out of the JSON that the extension makes of a row.
#pragma once

#include <functional>
#include <string_view>

namespace anabranch {

// Calls `take` with name and value of each member of `content`, in order; both are valid during the call. False: it is
// no JSON object of strings alone, and some may have been taken. Any thread.
bool read_hash_fields(std::string_view content,
                      const std::function<void(std::string_view name, std::string_view value)>& take);

}  // namespace anabranch
