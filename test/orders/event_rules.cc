// SPDX-License-Identifier: Apache-2.0
// Promises about events: which are published, and in which order.
#include <map>
#include <set>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

template <class Visit>
void each_event(const History& history, Visit visit) {
  for (Index index = 0; index < history.trace.entries.size(); ++index)
    if (history.entry(index).kind == Kind::event) visit(index, history.entry(index));
}

bool may_repeat(const Entry& event) {
  return event.verb == "paused" || event.verb == "resumed" || event.verb == "oom";
}

}  // namespace

void each_event_is_published_once(const History& history, Findings& findings) {
  std::set<std::pair<std::string, Role>> seen;
  each_event(history, [&](Index index, const Entry& event) {
    if (!may_repeat(event) && !seen.emplace(event.verb, event.role).second)
      findings.add(index, "published twice");
  });
}

void create_is_first_and_delete_last(const History& history, Findings& findings) {
  each_event(history, [&](Index index, const Entry& event) {
    if (!history.create_published || index < *history.create_published)
      findings.add(index, "before TaskCreate");
    if (history.delete_published && index > *history.delete_published)
      findings.add(index, "after TaskDelete");
    if (event.verb == "delete" && !is_before(history.life(Role::init).exit_published, index))
      findings.add(index, "before init's exit");
  });
}

void starts_come_before_exits(const History& history, Findings& findings) {
  std::set<std::pair<std::string, Role>> seen;
  each_event(history, [&](Index index, const Entry& event) {
    seen.emplace(event.verb, event.role);
    const bool is_start = event.verb == "start" || event.verb == "exec-started";
    if (is_start && seen.count({"exit", event.role}) != 0) findings.add(index, "after its exit");
    if (event.verb == "exec-started" && seen.count({"exec-added", event.role}) == 0)
      findings.add(index, "before it was added");
    if (event.verb == "exit" && event.role != Role::init &&
        seen.count({"exec-started", event.role}) == 0)
      findings.add(index, "exit of an exec whose start was not published");
  });
}

void nothing_follows_inits_exit(const History& history, Findings& findings) {
  const std::set<std::string> of_living = {"start",        "paused",     "resumed",
                                           "exec-started", "exec-added", "checkpointed"};
  const std::optional<Index> exit = history.life(Role::init).exit_published;
  each_event(history, [&](Index index, const Entry& event) {
    if (is_before(exit, index) && of_living.count(event.verb) != 0)
      findings.add(index, "after init's exit");
  });
}

// An exec that cannot be killed delays init's exit up to its limit.
void exits_of_execs_precede_inits(const History& history, Findings& findings) {
  const Life& init = history.life(Role::init);
  if (!init.exit_published || !init.died) return;
  const std::int64_t delay = history.ms(*init.exit_published) - history.ms(*init.died);
  for (Role role : kExecs) {
    const Life& exec = history.life(role);
    if (!is_before(exec.start_published, init.exit_published) ||
        is_before(exec.exit_published, init.exit_published))
      continue;
    const bool outlives = !history.trace.delivers_signals() &&
                          !is_before(exec.died, init.exit_published) && delay >= 2 * limit::kExecs;
    if (!outlives) findings.add(*init.exit_published, "before the exit of an exec");
  }
}

void each_exit_is_published(const History& history, Findings& findings) {
  for (const Life& life : history.lives) {
    const bool was_started = life.role == Role::init ? history.create_published.has_value()
                                                     : life.start_published.has_value();
    if (was_started && life.died && !life.exit_published)
      findings.add(*life.died, "its exit is never published");
  }
}

// If a process cannot be killed, a deletion publishes SIGKILL and the present time as its exit.
void published_exits_are_true(const History& history, Findings& findings) {
  each_event(history, [&](Index index, const Entry& event) {
    if (event.verb != "exit") return;
    const Life& life = history.life(event.role);
    const bool outlives = !history.trace.delivers_signals() && !is_before(life.died, index);
    if (!event.exit || event.exit->at == 0) return findings.add(index, "without status and time");
    if (outlives && life.created) return;
    if (!is_before(life.died, index)) return findings.add(index, "though the process is alive");
    const Entry& death = history.entry(*life.died);
    const std::int64_t at = (event.exit->at - history.trace.wall) / 1'000'000;
    if (event.pid != death.pid) findings.add(index, "with the pid of another process");
    if (event.exit->status != death.status) findings.add(index, "with the wrong status");
    if (at < death.ms || at > event.ms) findings.add(index, "with the wrong time");
  });
}

}  // namespace thinshim::orders
