// What a data record says has happened.
#pragma once

#include <cstdint>

namespace anabranch {

// The numbers of Row.Operation in topic.proto, there for good.
enum class RowOperation : uint8_t { insert = 1, update = 2, remove = 3, truncate = 4, read = 5, message = 6 };

// Value of the header "op": one letter.
char operation_letter(RowOperation operation);

}  // namespace anabranch
