// A copy that leaves those that are kept in step, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sidecar/pg/lsn.hpp"

namespace anabranch {

struct SetAside {
  uint32_t copy = 0;
  std::string state;       // that it gets
  std::optional<Lsn> lsn;  // what it holds; nullopt: as recorded already
  std::optional<std::string> sqlstate;
  std::optional<std::string> reason;
  std::optional<Lsn> failed_lsn;  // end of the transaction that could not be applied
};

// Says so in the log.
void log_set_aside(const std::string& copy_name, const SetAside& aside);

}  // namespace anabranch
