// SPDX-License-Identifier: Apache-2.0
// Streams with loggers behind them: programs, or files. After each test no child is left.
#pragma once

#include <optional>
#include <string>

#include "base/proc.h"
#include "process/reaper.h"
#include "stdio/logger.h"
#include "stdio/process_io.h"
#include "stdio_fixture.h"

namespace thinshim::test {

class LoggersTest : public StdioTest {
 protected:
  void TearDown() override {
    streams_gone();
    loggers_end();
    EXPECT_TRUE(eventually([] { return !has_children(); })) << "a logger is left";
    loggers_.reset();
    reaper_.reset();
    StdioTest::TearDown();
  }
  void loggers_end() { run(loggers_->finish()); }
  // For tests of what happens once they are over; the shim's own are beyond what others reach.
  void limit_loggers(Loggers::Limits limits) { loggers_.emplace(*reaper_, "ns1", limits); }
  // Runs the loop until it is so.
  template <class Condition>
  bool eventually(Condition condition, Duration limit = kPatience) {
    for (std::uint64_t end = loop_.now() + static_cast<std::uint64_t>(limit.count());
         !condition();) {
      if (loop_.now() > end) return false;
      loop_.run(pass_time(loop_, 5ms));
    }
    return true;
  }
  static bool has_children() { return !own_children().empty(); }

  // For a test in which pipes may not grow: a user may have no right to it (pipe(7)).
  void keep_pipes_small() { options_.pipe_size = 0; }

  StdioOptions options_;
  std::optional<Reaper> reaper_{loop_};
  std::optional<Loggers> loggers_{std::in_place, *reaper_, "ns1"};
};

}  // namespace thinshim::test
