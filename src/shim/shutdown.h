// SPDX-License-Identifier: Apache-2.0
// The shutdown of the shim, and the callbacks that run before it exits.
//
// It is requested by the task service, when it has no work any more, and by SIGTERM and SIGINT. It
// does not stop containers: they run on, and containerd cleans up after them with `delete`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/signals.h"
#include "async/sync.h"

namespace thinshim {

class Shutdown {
 public:
  // Handles SIGTERM, SIGINT and SIGUSR1 of this process. SIGUSR1 only calls `report`.
  Shutdown(Loop& loop, std::function<void()> report);

  void request() { requested_.set(); }
  // Registers a callback. Callbacks run in reverse order of registration; if one throws, "failed to
  // WHAT" is logged, and the next one runs.
  void on_shutdown(std::string what, std::function<Task<>()> callback);
  // Waits until shutdown is requested, then runs the callbacks.
  Task<> run();

 private:
  Task<> watch_signals();

  struct Callback {
    std::string what;
    std::function<Task<>()> run;
  };
  Signals signals_;
  std::function<void()> report_;
  Event requested_;
  std::vector<Callback> callbacks_;
  TaskSet tasks_;
};

}  // namespace thinshim
