// SPDX-License-Identifier: Apache-2.0
// Signals to wait for: blocked in the process and read from a signalfd, so no signal handler runs.
#pragma once

#include <initializer_list>

#include "async/loop.h"
#include "base/fd.h"

namespace thinshim {

class Signals {
 public:
  // Blocks `numbers` in this process; the destructor does not unblock them. Children must unblock
  // them (process/launch.cc and run_forked() do). Throws Error.
  Signals(Loop& loop, std::initializer_list<int> numbers);

  // The number of the next signal. Pending signals of the same number are merged into one. The loop
  // runs one iteration before each, so that a flood of signals does not starve other tasks.
  Task<int> next();

 private:
  Fd fd_;
  Watch watch_;
};

}  // namespace thinshim
