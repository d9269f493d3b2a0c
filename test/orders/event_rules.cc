// SPDX-License-Identifier: Apache-2.0
// Promises about events: which there are, and in which order.
#include <map>
#include <set>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

template <class Visit>
void each_event(const Story& story, Visit visit) {
  for (Place place = 0; place < story.trace.entries.size(); ++place)
    if (story.entry(place).kind == Kind::event) visit(place, story.entry(place));
}

bool may_come_again(const Entry& event) {
  return event.verb == "paused" || event.verb == "resumed" || event.verb == "oom";
}

}  // namespace

void events_come_once(const Story& story, Findings& findings) {
  std::set<std::pair<std::string, Who>> seen;
  each_event(story, [&](Place place, const Entry& event) {
    if (!may_come_again(event) && !seen.emplace(event.verb, event.who).second)
      findings.add(place, "it comes twice");
  });
}

void events_come_within_the_life(const Story& story, Findings& findings) {
  each_event(story, [&](Place place, const Entry& event) {
    if (!story.created || place < *story.created) findings.add(place, "before TaskCreate");
    if (story.removed && place > *story.removed) findings.add(place, "behind TaskDelete");
    if (event.verb == "delete" && !is_before(story.life(Who::init).told, place))
      findings.add(place, "before init's exit");
  });
}

void starts_come_before_exits(const Story& story, Findings& findings) {
  std::set<std::pair<std::string, Who>> seen;
  each_event(story, [&](Place place, const Entry& event) {
    seen.emplace(event.verb, event.who);
    const bool is_start = event.verb == "start" || event.verb == "exec-started";
    if (is_start && seen.count({"exit", event.who}) != 0) findings.add(place, "behind its exit");
    if (event.verb == "exec-started" && seen.count({"exec-added", event.who}) == 0)
      findings.add(place, "before it was added");
    if (event.verb == "exit" && event.who != Who::init &&
        seen.count({"exec-started", event.who}) == 0)
      findings.add(place, "of an exec whose start was not told");
  });
}

void nothing_comes_behind_inits_exit(const Story& story, Findings& findings) {
  const std::set<std::string> of_the_living = {"start",        "paused",     "resumed",
                                               "exec-started", "exec-added", "checkpointed"};
  const std::optional<Place> told = story.life(Who::init).told;
  each_event(story, [&](Place place, const Entry& event) {
    if (is_before(told, place) && of_the_living.count(event.verb) != 0)
      findings.add(place, "behind init's exit");
  });
}

// One that cannot be killed holds init's exit up for as long as is given to it, and no longer.
void execs_end_before_init(const Story& story, Findings& findings) {
  const Life& init = story.life(Who::init);
  if (!init.told || !init.died) return;
  const std::int64_t held_up = story.ms(*init.told) - story.ms(*init.died);
  for (Who who : kExecs) {
    const Life& exec = story.life(who);
    if (!is_before(exec.started, init.told) || is_before(exec.told, init.told)) continue;
    const bool outlives =
        !story.trace.arrive() && !is_before(exec.died, init.told) && held_up >= 2 * limit::kExecs;
    if (!outlives) findings.add(*init.told, "before an exec's");
  }
}

void each_exit_is_told(const Story& story, Findings& findings) {
  for (const Life& life : story.lives) {
    const bool was_there =
        life.who == Who::init ? story.created.has_value() : life.started.has_value();
    if (was_there && life.died && !life.told) findings.add(*life.died, "its exit is never told");
  }
}

// Of one that cannot be killed a deletion says that it was killed just now.
void no_exit_is_invented(const Story& story, Findings& findings) {
  each_event(story, [&](Place place, const Entry& event) {
    if (event.verb != "exit") return;
    const Life& life = story.life(event.who);
    const bool outlives = !story.trace.arrive() && !is_before(life.died, place);
    if (!event.ended || event.ended->at == 0) return findings.add(place, "without an end");
    if (outlives && life.made) return;
    if (!is_before(life.died, place)) return findings.add(place, "though it lives");
    const Entry& death = story.entry(*life.died);
    const std::int64_t at = (event.ended->at - story.trace.wall) / 1'000'000;
    if (event.pid != death.pid) findings.add(place, "with another's pid");
    if (event.ended->status != death.status) findings.add(place, "with another status");
    if (at < death.ms || at > event.ms) findings.add(place, "at another time");
  });
}

}  // namespace thinshim::orders
