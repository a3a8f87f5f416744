// What this machine calls itself.
#pragma once

#include <string>

namespace anabranch {

// Cut where it is longer than 255 bytes.
std::string host_name();

}  // namespace anabranch
