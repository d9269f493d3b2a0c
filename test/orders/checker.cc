// SPDX-License-Identifier: Apache-2.0
#include "orders/checker.h"

namespace thinshim::orders {

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {"each event is published once", each_event_is_published_once},
      {"TaskCreate is published first and TaskDelete last", create_is_first_and_delete_last},
      {"a start is published before the exit, and an exec is added before its start",
       starts_come_before_exits},
      {"no start, pause or resume is published after init's exit", nothing_follows_inits_exit},
      {"the exit of every exec is published before init's", exits_of_execs_precede_inits},
      {"the exit of each started process is published", each_exit_is_published},
      {"an exit is published only of a dead process, with its pid, status and time",
       published_exits_are_true},
      {"Wait, State, Delete and the events agree on status and time",
       answers_and_events_agree_on_the_exit},
      {"State reports the true state", state_is_truthful},
      {"a process has one pid", pids_are_right},
      {"the answers to Create and Start agree with the events", answers_match_start_events},
      {"Delete removes a dead process, and refuses a living one", delete_is_truthful},
      {"Kill kills a living process, and reports that a dead one has finished", kill_is_truthful},
      {"a failed Create or Start leaves no process", failed_calls_leave_no_process},
      {"nothing is left over", nothing_is_left},
      {"an exit is published in time, whatever hangs", exits_are_published_in_time},
      {"each Wait is answered after the exit", waits_are_answered},
      {"State and Exec are answered at once", state_and_exec_are_answered_at_once},
      {"Delete ends within its limit", delete_is_bounded},
      {"a SIGKILL is answered within its limit", kill_is_bounded},
      {"every request is answered, unless its call of the runtime hangs", requests_are_answered},
      {"a call of the runtime ends after its client has disconnected", abandoned_runtime_calls_end},
  };
  return all;
}

std::vector<Finding> broken_promises(const Trace& trace) {
  const History history(trace);
  std::vector<Finding> all;
  for (const Rule& rule : rules()) {
    Findings findings(history);
    rule.find(history, findings);
    for (Finding& finding : findings.found) {
      finding.rule = rule.promise;
      all.push_back(std::move(finding));
    }
  }
  return all;
}

}  // namespace thinshim::orders
