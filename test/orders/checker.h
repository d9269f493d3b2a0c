// SPDX-License-Identifier: Apache-2.0
// Checks the trace of one container's life against the promises of test/RELIABILITY.md. It reads
// nothing but the trace.
#pragma once

#include <string>
#include <vector>

#include "orders/history.h"
#include "orders/trace.h"

namespace thinshim::orders {

// A broken promise.
struct Finding {
  std::string rule;
  std::string reason;  // equal for all findings of the same kind
  std::int64_t ms = 0;
  std::string what;  // the entry, and a duration if it was too long
};

// The findings of one rule; broken_promises() sets `rule`.
class Findings {
 public:
  explicit Findings(const History& history) : history_(history) {}
  void add(Index index, const std::string& reason) {
    found.push_back({"", reason, history_.ms(index), to_line(history_.entry(index)).substr(17)});
  }
  void add_duration(Index index, std::int64_t took, std::int64_t most) {
    add(index, "it takes too long");
    found.back().what +=
        " (" + std::to_string(took) + " ms, of at most " + std::to_string(most) + ")";
  }

  std::vector<Finding> found;

 private:
  const History& history_;
};

struct Rule {
  const char* promise;
  void (*find)(const History& history, Findings& findings);
};
const std::vector<Rule>& rules();

std::vector<Finding> broken_promises(const Trace& trace);

// The service's limits in milliseconds (task/container.h, task/process.h, task/service.h).
namespace limit {
inline constexpr std::int64_t kSoon = 1'000;  // what waits for nothing
inline constexpr std::int64_t kInitVerb =
    5'000;  // a verb of a dead init, before its exit is published
inline constexpr std::int64_t kKillAll = 10'000;  // killing the rest of a shared pid namespace
inline constexpr std::int64_t kExecs =
    5'000;  // execs of a dead init, and again after their SIGKILL
inline constexpr std::int64_t kSigkillQueue = 10'000;  // each call that a SIGKILL waits for
inline constexpr std::int64_t kAbandoned =
    10'000;  // a call of the runtime after its client disconnected
inline constexpr std::int64_t kKilled = 2'000;     // the end of a killed call of the runtime
inline constexpr std::int64_t kDeletion = 64'000;  // a deletion by the runtime, and its output
inline constexpr std::int64_t kExitAfterDelete =
    5'000;  // the exit of a process that a deletion has killed
}  // namespace limit

// --- event_rules.cc

void each_event_is_published_once(const History&, Findings&);
void create_is_first_and_delete_last(const History&, Findings&);
void starts_come_before_exits(const History&, Findings&);
void nothing_follows_inits_exit(const History&, Findings&);
void exits_of_execs_precede_inits(const History&, Findings&);
void each_exit_is_published(const History&, Findings&);
void published_exits_are_true(const History&, Findings&);

// --- answer_rules.cc

void answers_and_events_agree_on_the_exit(const History&, Findings&);
void state_is_truthful(const History&, Findings&);
void pids_are_right(const History&, Findings&);
void answers_match_start_events(const History&, Findings&);
void delete_is_truthful(const History&, Findings&);
void kill_is_truthful(const History&, Findings&);
void failed_calls_leave_no_process(const History&, Findings&);
void nothing_is_left(const History&, Findings&);

// --- time_rules.cc

void exits_are_published_in_time(const History&, Findings&);
void waits_are_answered(const History&, Findings&);
void state_and_exec_are_answered_at_once(const History&, Findings&);
void delete_is_bounded(const History&, Findings&);
void kill_is_bounded(const History&, Findings&);
void requests_are_answered(const History&, Findings&);
void abandoned_runtime_calls_end(const History&, Findings&);

}  // namespace thinshim::orders
