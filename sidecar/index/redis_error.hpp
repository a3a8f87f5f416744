// What Redis refuses, as the IndexError that its caller decides by.
#pragma once

#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"

namespace anabranch {

// Of an answer that is an error ("CODE words") to what was asked of the server at `where`. Of the words only those that
// name no argument of ours are told: some hold the password.
IndexError redis_error(std::string_view answer, const std::string& where);

}  // namespace anabranch
