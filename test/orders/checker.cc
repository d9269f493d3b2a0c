// SPDX-License-Identifier: Apache-2.0
#include "orders/checker.h"

namespace thinshim::orders {

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {"each event comes once", events_come_once},
      {"TaskCreate comes first and TaskDelete last", events_come_within_the_life},
      {"a start is told before its exit, and an exec is added before its start",
       starts_come_before_exits},
      {"nothing starts, pauses or resumes behind init's exit", nothing_comes_behind_inits_exit},
      {"every exec's exit comes before init's", execs_end_before_init},
      {"each process that was started has its exit told", each_exit_is_told},
      {"an exit is told of who is dead, with its pid, status and time", no_exit_is_invented},
      {"Wait, State, Delete and the events agree on status and time", all_agree_on_the_exit},
      {"State is truthful", state_is_truthful},
      {"a process has one pid", pids_are_right},
      {"Create and Start are answered as the events say", start_is_answered_as_it_is_told},
      {"Delete removes who is dead, and refuses who lives", delete_is_truthful},
      {"Kill kills who lives, and says so of who is dead", kill_is_truthful},
      {"a Create or a Start that fails leaves nobody", failures_leave_nobody},
      {"nothing is left", nothing_is_left},
      {"an exit is told in time, whatever hangs", exits_are_told_in_time},
      {"each Wait is answered once there is an exit", waits_are_answered},
      {"State and Exec are answered at once", questions_are_answered_at_once},
      {"Delete is bounded", delete_is_bounded},
      {"SIGKILL is bounded", kill_is_bounded},
      {"every request is answered, or its runtime hangs", requests_are_answered},
      {"no call of the runtime goes on for nobody", nothing_runs_for_nobody},
  };
  return all;
}

std::vector<Finding> broken_promises(const Trace& trace) {
  const Story story(trace);
  std::vector<Finding> all;
  for (const Rule& rule : rules()) {
    Findings findings(story);
    rule.find(story, findings);
    for (Finding& finding : findings.found) {
      finding.rule = rule.promise;
      all.push_back(std::move(finding));
    }
  }
  return all;
}

}  // namespace thinshim::orders
