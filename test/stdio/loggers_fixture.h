// SPDX-License-Identifier: Apache-2.0
// Streams with loggers: programs or files. No child may be left after a test.
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
  // Shorter limits, for tests of timeouts.
  void limit_loggers(Loggers::Limits limits) { loggers_.emplace(*reaper_, "ns1", limits); }
  // Runs the loop until the condition is true.
  template <class Condition>
  bool eventually(Condition condition, Duration limit = kTestTimeout) {
    for (std::uint64_t end = loop_.now() + static_cast<std::uint64_t>(limit.count());
         !condition();) {
      if (loop_.now() > end) return false;
      loop_.run(pass_time(loop_, 5ms));
    }
    return true;
  }
  static bool has_children() { return !own_children().empty(); }

  // Pipes do not grow, as for a user who may not enlarge them (pipe(7)).
  void keep_pipes_small() { options_.pipe_size = 0; }

  StdioOptions options_;
  std::optional<Reaper> reaper_{loop_};
  std::optional<Loggers> loggers_{std::in_place, *reaper_, "ns1"};
};

}  // namespace thinshim::test
