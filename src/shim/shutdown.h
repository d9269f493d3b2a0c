// SPDX-License-Identifier: Apache-2.0
// The end of the shim: who asks for it, and what must be done before it.
//
// It is asked for by the task service, when its work is done, and by SIGTERM and SIGINT. Containers
// are none of its business: they run on, and containerd cleans up after them with `delete`.
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
  // Takes over SIGTERM, SIGINT and SIGUSR1 of this process. The latter is no end: it calls
  // `report`.
  Shutdown(Loop& loop, std::function<void()> report);

  void ask() { asked_.set(); }
  // What is to be done at the end; the last one registered goes first. One that fails does not stop
  // the others.
  void at_end(std::string what, std::function<Task<>()> work);
  // Waits until the end is asked for, then does all that.
  Task<> run();

 private:
  Task<> watch_signals();

  struct Work {
    std::string what;
    std::function<Task<>()> run;
  };
  Signals signals_;
  std::function<void()> report_;
  Event asked_;
  std::vector<Work> work_;
  TaskSet tasks_;
};

}  // namespace thinshim
