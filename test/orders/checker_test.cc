// SPDX-License-Identifier: Apache-2.0
// The checker finds nothing in a good life, and in each bad one the promise that it breaks.
#include "orders/checker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "orders/bad_lives.h"
#include "orders/tale.h"

namespace thinshim::orders {
namespace {

std::vector<Bad> all_bad() {
  std::vector<Bad> all = bad_events();
  all.insert(all.end(), bad_answers().begin(), bad_answers().end());
  all.insert(all.end(), bad_times().begin(), bad_times().end());
  return all;
}

std::string text_of(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += finding.rule + ": " + finding.reason + ": " + finding.what + "\n";
  return text;
}

TEST(Checker, FindsNothingInAGoodLife) { EXPECT_EQ(text_of(broken_promises(told(good_life))), ""); }

TEST(Checker, FindsThePromiseThatABadLifeBreaks) {
  for (const Bad& bad : all_bad()) {
    const std::vector<Finding> findings = broken_promises(told(bad.tell));
    EXPECT_TRUE(std::ranges::any_of(findings,
                                    [&](const Finding& finding) {
                                      return finding.rule == bad.promise &&
                                             finding.reason == bad.reason;
                                    }))
        << bad.promise << ": " << bad.reason << "; found:\n"
        << text_of(findings);
  }
}

TEST(Checker, HasABadLifeForEachPromise) {
  std::set<std::string> tried, all;
  for (const Bad& bad : all_bad()) tried.insert(bad.promise);
  for (const Rule& rule : rules()) all.insert(rule.promise);
  EXPECT_EQ(tried, all);
}

// What may hold up an exit does so for its time, and no promise is broken.
TEST(Checker, AllowsWhatHangsItsTime) {
  const auto held_up = [](Tale& tale) {
    tale.trace.own_pid_namespace = false;
    tale.create();
    tale.ask(4, "Start");
    tale.call(2, "start");
    tale.die(Who::init, kInit);
    tale.now = 5'000;
    tale.end_call(2, "given up");
    tale.refuse(4, Code::unknown, "runtime timed out and was killed");
    tale.call(3, "kill", Who::init, "all");
    tale.now = 15'000;
    tale.end_call(3, "given up");
    tale.tell_exit(Who::init);
    tale.remove();
    tale.finish();
  };
  EXPECT_EQ(text_of(broken_promises(told(held_up))), "");
}

TEST(Checker, AllowsAnExecThatCannotBeKilledToOutliveInit) {
  const auto outlived = [](Tale& tale) {
    tale.trace.own_pid_namespace = false;
    tale.trace.signals = Signals::refused;
    tale.run();
    tale.die(Who::init, kInit);
    tale.call(9, "kill", Who::init, "all");
    tale.end_call(9, "operation not permitted");
    tale.now = 10'000;
    tale.tell_exit(Who::init);
    tale.free();
    tale.die(Who::exec1, kExec);
    tale.died_at = tale.now;
    tale.tell_exit(Who::exec1);
    tale.died_at = 0;
    tale.remove();
    tale.end();
  };
  EXPECT_EQ(text_of(broken_promises(told(outlived))), "");
}

}  // namespace
}  // namespace thinshim::orders
