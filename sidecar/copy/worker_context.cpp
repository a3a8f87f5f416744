#include "sidecar/copy/worker_context.hpp"

namespace anabranch {
namespace {

constexpr std::chrono::milliseconds lock_wait_max{10'000};  // for a table of the copy that a user holds

}  // namespace

ConnectOptions worker_options(const WorkerContext& context) {
  ConnectOptions options;
  options.conninfo = context.settings.conninfo;
  options.application_name = "anabranch worker";
  options.synchronous_commit = "off";
  options.settings = {{"lock_timeout", std::to_string(lock_wait_max.count())}, {"work_mem", apply_work_mem}};
  options.stop = &context.stop;
  return options;
}

}  // namespace anabranch
