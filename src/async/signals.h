// SPDX-License-Identifier: Apache-2.0
// Signals as something to wait for: blocked for the process and read from a signalfd, so no handler
// ever runs.
#pragma once

#include <initializer_list>

#include "async/loop.h"
#include "base/fd.h"

namespace thinshim {

class Signals {
 public:
  // Blocks `numbers` in this process from now on; they stay blocked afterwards. Children must
  // unblock them, which process/spawn does. The descriptor is non-blocking.
  Signals(Loop& loop, std::initializer_list<int> numbers);

  // The number of the next signal. Signals of one number that arrive together are one. The loop
  // goes round before each: they may come faster than they are dealt with.
  Task<int> next();

 private:
  Fd fd_;
  Watch watch_;
};

}  // namespace thinshim
