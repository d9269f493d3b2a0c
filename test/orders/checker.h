// SPDX-License-Identifier: Apache-2.0
// What test/RELIABILITY.md promises of one container's life, held against a trace of it. Knows
// nothing of how the trace came about.
#pragma once

#include <string>
#include <vector>

#include "orders/story.h"
#include "orders/trace.h"

namespace thinshim::orders {

// A promise that was not kept.
struct Finding {
  std::string rule;
  std::string reason;  // in the same words wherever it is the same
  std::int64_t ms = 0;
  std::string what;  // it is about, and how much
};

// What a rule finds; `rule` is set by broken_promises().
class Findings {
 public:
  explicit Findings(const Story& story) : story_(story) {}
  // What is wrong at a place.
  void add(Place place, const std::string& reason) {
    found.push_back({"", reason, story_.ms(place), to_line(story_.entry(place)).substr(17)});
  }
  // The same of what takes too long.
  void add_duration(Place place, std::int64_t took, std::int64_t most) {
    add(place, "it takes too long");
    found.back().what +=
        " (" + std::to_string(took) + " ms, of at most " + std::to_string(most) + ")";
  }

  std::vector<Finding> found;

 private:
  const Story& story_;
};

struct Rule {
  const char* promise;
  void (*find)(const Story& story, Findings& findings);
};
// All promises.
const std::vector<Rule>& rules();

std::vector<Finding> broken_promises(const Trace& trace);

// What the service gives to things that hang, in milliseconds (task/container.h, task/process.h,
// task/service.h), and to everything else.
namespace limit {
inline constexpr std::int64_t kSoon = 1'000;       // what nothing holds up
inline constexpr std::int64_t kVerb = 5'000;       // a verb of a dead init, before its exit is told
inline constexpr std::int64_t kKillAll = 10'000;   // killing who is left in a shared pid namespace
inline constexpr std::int64_t kExecs = 5'000;      // execs of a dead init, and again once killed
inline constexpr std::int64_t kTurn = 10'000;      // what stands in the way of a SIGKILL
inline constexpr std::int64_t kPatience = 10'000;  // a call of the runtime without its client
inline constexpr std::int64_t kDying = 2'000;      // a call of the runtime that was killed
inline constexpr std::int64_t kDeletion = 64'000;  // a deletion by the runtime, with its output
inline constexpr std::int64_t kLastExit = 5'000;   // the exit of whom a deletion has killed
}  // namespace limit

// --- by subject: event_rules.cc, answer_rules.cc, time_rules.cc

void events_come_once(const Story&, Findings&);
void events_come_within_the_life(const Story&, Findings&);
void starts_come_before_exits(const Story&, Findings&);
void nothing_comes_behind_inits_exit(const Story&, Findings&);
void execs_end_before_init(const Story&, Findings&);
void each_exit_is_told(const Story&, Findings&);
void no_exit_is_invented(const Story&, Findings&);

void all_agree_on_the_exit(const Story&, Findings&);
void state_is_truthful(const Story&, Findings&);
void pids_are_right(const Story&, Findings&);
void start_is_answered_as_it_is_told(const Story&, Findings&);
void delete_is_truthful(const Story&, Findings&);
void kill_is_truthful(const Story&, Findings&);
void failures_leave_nobody(const Story&, Findings&);
void nothing_is_left(const Story&, Findings&);

void exits_are_told_in_time(const Story&, Findings&);
void waits_are_answered(const Story&, Findings&);
void questions_are_answered_at_once(const Story&, Findings&);
void delete_is_bounded(const Story&, Findings&);
void kill_is_bounded(const Story&, Findings&);
void requests_are_answered(const Story&, Findings&);
void nothing_runs_for_nobody(const Story&, Findings&);

}  // namespace thinshim::orders
