// SPDX-License-Identifier: Apache-2.0
// Promises about how long things take, whatever hangs.
#include <algorithm>
#include <map>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

std::int64_t end_of(const Story& story) {
  return story.trace.entries.empty() ? 0 : story.trace.entries.back().ms;
}

// How long it took; to the end of the trace where it never came to an end.
std::int64_t duration(const Story& story, const Request& request) {
  if (request.answered) return story.ms(*request.answered) - story.ms(request.asked);
  const std::int64_t end = request.hung_up ? story.ms(*request.hung_up) : end_of(story);
  return end - story.ms(request.asked);
}

// What of the runtime a request asks for; a SIGKILL may thaw too.
bool serves(const RuntimeCall& call, const Request& request) {
  const std::map<std::string, std::string> verbs = {{"Create", "create"},
                                                    {"Pause", "pause"},
                                                    {"Resume", "resume"},
                                                    {"Kill", "kill"},
                                                    {"Delete", "delete"}};
  if (request.verb == "Start")
    return call.who == request.who && call.verb == (request.who == Who::init ? "start" : "exec");
  const auto verb = verbs.find(request.verb);
  const bool thaws = request.verb == "Kill" && call.verb == "resume";
  return verb != verbs.end() && request.who == Who::init && (call.verb == verb->second || thaws);
}

// How long the news of init's death may be held up, by what hangs.
std::int64_t most_held_up(const Story& story, const Life& init) {
  std::int64_t most = limit::kSoon;
  bool verb = false, execs = false;
  for (const RuntimeCall& call : story.calls) {
    const bool at_death = Story::is_open(call, *init.died);
    if (call.verb == "exec") execs |= at_death;
    // A verb may begin in the moment in which init dies.
    const bool behind = call.begun > *init.died && call.begun < *init.told;
    if (call.verb == "start" || call.verb == "pause" || call.verb == "resume")
      verb |= at_death || behind;
    if (call.verb == "kill" && call.all)
      most += std::clamp<std::int64_t>(
          (call.over ? story.ms(*call.over) : end_of(story)) - story.ms(call.begun), 0,
          limit::kKillAll);
  }
  if (verb) most += limit::kVerb;
  if (execs) most += limit::kExecs;
  for (Who who : kExecs) {
    const Life& exec = story.life(who);
    const bool cannot_be_killed = !story.trace.arrive() && is_before(exec.made, init.told) &&
                                  !is_before(exec.died, init.died);
    if (cannot_be_killed) return most + 2 * limit::kExecs;
  }
  return most;
}

}  // namespace

void exits_are_told_in_time(const Story& story, Findings& findings) {
  for (const Life& life : story.lives) {
    const bool is_init = life.who == Who::init;
    const std::optional<Place>& known = is_init ? story.created : life.started;
    if (!known || !life.died || !life.told) continue;
    const std::int64_t since = std::max(story.ms(*known), story.ms(*life.died));
    const std::int64_t most = is_init ? most_held_up(story, life) : limit::kSoon;
    if (story.ms(*life.told) - since > most)
      findings.add_duration(*life.told, story.ms(*life.told) - since, most);
  }
}

void waits_are_answered(const Story& story, Findings& findings) {
  for (const Request& request : story.requests) {
    if (request.verb != "Wait") continue;
    const Life& life = story.life(request.who);
    if (!request.answered) {
      if (life.told || life.died) findings.add(request.asked, "it is never answered");
      continue;
    }
    const Entry& answer = story.answer(request);
    if (answer.code == Code::not_found) continue;
    if (answer.ended && !is_before(life.told, request.answered))
      findings.add(*request.answered, "before the event");
    if (!answer.ended && life.started) findings.add(*request.answered, "without an end");
    if (!life.told) continue;
    const std::int64_t since = std::max(story.ms(*life.told), story.ms(request.asked));
    if (answer.ms - since > limit::kSoon) findings.add(*request.answered, "it is late");
  }
}

void questions_are_answered_at_once(const Story& story, Findings& findings) {
  for (const Request& request : story.requests)
    if ((request.verb == "State" || request.verb == "Exec") &&
        duration(story, request) > limit::kSoon)
      findings.add_duration(request.asked, duration(story, request), limit::kSoon);
}

void delete_is_bounded(const Story& story, Findings& findings) {
  constexpr std::int64_t kMost = limit::kDeletion + limit::kDying + limit::kLastExit + limit::kSoon;
  for (const Request& request : story.requests)
    if (request.verb == "Delete" && duration(story, request) > kMost)
      findings.add_duration(request.asked, duration(story, request), kMost);
}

// To init it goes past everything else, but for one that is frozen, or about to be: its runtime
// thaws it, and may take its time.
void kill_is_bounded(const Story& story, Findings& findings) {
  const bool may_freeze = std::ranges::any_of(
      story.requests, [](const Request& request) { return request.verb == "Pause"; });
  for (const Request& request : story.requests) {
    if (request.verb != "Kill") continue;
    const bool is_init = request.who == Who::init;
    const std::int64_t most =
        is_init && !may_freeze ? limit::kSoon : limit::kTurn + limit::kDying + limit::kSoon;
    const bool hangs =
        is_init && may_freeze && std::ranges::any_of(story.calls, [&](const RuntimeCall& call) {
          return serves(call, request) && call.begun > request.asked;
        });
    if (!hangs && duration(story, request) > most)
      findings.add_duration(request.asked, duration(story, request), most);
  }
}

void requests_are_answered(const Story& story, Findings& findings) {
  for (const Request& request : story.requests) {
    if (request.verb == "Wait") continue;  // waits_are_answered()
    if (!request.answered && (!request.hung_up || *request.hung_up > story.freed))
      findings.add(request.asked, "it is never answered");
    if (!Story::is_open(request, story.freed) || request.asked > story.freed) continue;
    // Its own, or one in whose turn it is.
    const bool hangs = std::ranges::any_of(story.calls, [&](const RuntimeCall& call) {
      return call.who == request.who && Story::is_open(call, story.freed);
    });
    if (!hangs) findings.add(request.asked, "it is not answered, and no call of the runtime hangs");
  }
}

void nothing_runs_for_nobody(const Story& story, Findings& findings) {
  const bool gave_up_create = std::ranges::any_of(story.requests, [](const Request& request) {
    return request.verb == "Create" && request.hung_up;
  });
  for (const RuntimeCall& call : story.calls) {
    const Place until = call.over.value_or(story.trace.entries.size() - 1);
    const std::int64_t over = story.ms(until);
    std::int64_t last = -1;  // when the last of those went who had asked for it
    bool awaited = false;
    for (const Request& request : story.requests) {
      if (!serves(call, request) || call.all || request.asked > call.begun) continue;
      awaited |=
          Story::is_open(request, until) || (request.answered && *request.answered > call.begun);
      if (request.hung_up) last = std::max(last, story.ms(*request.hung_up));
    }
    // What was made too late for its client the service deletes by itself.
    const bool undoes = call.verb == "delete" && gave_up_create;
    const std::int64_t most = (undoes ? limit::kDeletion : limit::kPatience) + limit::kDying;
    if (!awaited && last >= 0 && !call.force && over - std::max(last, story.ms(call.begun)) > most)
      findings.add(call.begun, "its client has long gone");
    if (call.force && over - story.ms(call.begun) > limit::kDeletion + limit::kDying)
      findings.add(call.begun, "what undoes a failure takes too long");
    if (call.all && over - story.ms(call.begun) > limit::kKillAll + limit::kDying)
      findings.add(call.begun, "what kills who is left takes too long");
  }
}

}  // namespace thinshim::orders
