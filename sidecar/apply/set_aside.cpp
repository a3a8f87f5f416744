#include "sidecar/apply/set_aside.hpp"

#include "sidecar/logging.hpp"

namespace anabranch {

void log_set_aside(const std::string& copy_name, const SetAside& aside) {
  log_line(aside.state == "failed" ? LogLevel::error : LogLevel::warning, "a copy was set aside",
           {{"copy", copy_name},
            {"state", aside.state},
            {"sqlstate", aside.sqlstate.value_or("")},
            {"reason", aside.reason.value_or("")},
            {"lsn", aside.lsn.value_or(Lsn{})},
            {"failed_lsn", aside.failed_lsn.value_or(Lsn{})}});
}

}  // namespace anabranch
