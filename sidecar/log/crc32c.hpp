// CRC-32C (Castagnoli), the checksum of a transaction's records.
#pragma once

#include <cstdint>
#include <string_view>

namespace anabranch {

// Runs over pieces of bytes one after the other; value() is the checksum of all of them together, as PostgreSQL's
// INIT/COMP/FIN_CRC32C compute it.
class Crc32c {
 public:
  void add(std::string_view bytes);
  uint32_t value() const { return ~state_; }

  // The computation with tables, which add() takes where the processor has no instruction for it: for tests.
  static uint32_t by_table(uint32_t state, std::string_view bytes);

 private:
  uint32_t state_ = ~uint32_t{0};
};

}  // namespace anabranch
