// SPDX-License-Identifier: Apache-2.0
// The checker finds nothing in a correct trace, and in each broken one the promise that it breaks.
#include "orders/checker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "orders/broken_traces.h"
#include "orders/trace_builder.h"

namespace thinshim::orders {
namespace {

std::vector<BrokenTrace> all_broken() {
  std::vector<BrokenTrace> all = broken_events();
  all.insert(all.end(), broken_answers().begin(), broken_answers().end());
  all.insert(all.end(), broken_times().begin(), broken_times().end());
  return all;
}

std::string text_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += finding.rule + ": " + finding.reason + ": " + finding.what + "\n";
  return text;
}

TEST(Checker, FindsNothingInACorrectTrace) {
  EXPECT_EQ(text_of(broken_promises(build_trace(correct_trace))), "");
}

TEST(Checker, FindsThePromiseThatEachBrokenTraceBreaks) {
  for (const BrokenTrace& broken : all_broken()) {
    const std::vector<Finding> findings = broken_promises(build_trace(broken.build));
    EXPECT_TRUE(std::ranges::any_of(findings,
                                    [&](const Finding& finding) {
                                      return finding.rule == broken.promise &&
                                             finding.reason == broken.reason;
                                    }))
        << broken.promise << ": " << broken.reason << "; found:\n"
        << text_of(findings);
  }
}

TEST(Checker, HasABrokenTraceForEachPromise) {
  std::set<std::string> tried, all;
  for (const BrokenTrace& broken : all_broken()) tried.insert(broken.promise);
  for (const Rule& rule : rules()) all.insert(rule.promise);
  EXPECT_EQ(tried, all);
}

TEST(Checker, AllowsAHungCallToDelayTheExitUpToItsLimit) {
  const auto delayed = [](TraceBuilder& builder) {
    builder.trace.own_pid_namespace = false;
    builder.create();
    builder.request(4, "Start");
    builder.call(2, "start");
    builder.die(Role::init, kInit);
    builder.now = 5'000;
    builder.end_call(2, "timed out");
    builder.answer_error(4, Code::unknown, "runtime timed out and was killed");
    builder.call(3, "kill", Role::init, "all");
    builder.now = 15'000;
    builder.end_call(3, "timed out");
    builder.publish_exit(Role::init);
    builder.delete_container();
    builder.finish();
  };
  EXPECT_EQ(text_of(broken_promises(build_trace(delayed))), "");
}

TEST(Checker, AllowsAnExecThatCannotBeKilledToOutliveInit) {
  const auto outlived = [](TraceBuilder& builder) {
    builder.trace.own_pid_namespace = false;
    builder.trace.signals = Signals::refused;
    builder.run();
    builder.die(Role::init, kInit);
    builder.call(9, "kill", Role::init, "all");
    builder.end_call(9, "operation not permitted");
    builder.now = 10'000;
    builder.publish_exit(Role::init);
    builder.unblock();
    builder.die(Role::exec1, kExec);
    builder.died_at = builder.now;
    builder.publish_exit(Role::exec1);
    builder.died_at = 0;
    builder.delete_container();
    builder.end();
  };
  EXPECT_EQ(text_of(broken_promises(build_trace(outlived))), "");
}

}  // namespace
}  // namespace thinshim::orders
