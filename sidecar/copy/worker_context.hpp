// What the worker of one copy works with.
#pragma once

#include <string>

#include "sidecar/apply/session.hpp"
#include "sidecar/copy/join_desk.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// References must outlive the work.
struct WorkerContext {
  const RunSettings& settings;
  const SourceToken& token;
  JoinDesk& desk;
  const Stop& stop;  // of this worker
  std::string origin;
};

// How a worker's sessions and its log connect.
ConnectOptions worker_options(const WorkerContext& context);

}  // namespace anabranch
