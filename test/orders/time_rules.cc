// SPDX-License-Identifier: Apache-2.0
// Promises about durations, whatever hangs.
#include <algorithm>
#include <map>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

std::int64_t end_of(const History& history) {
  return history.trace.entries.empty() ? 0 : history.trace.entries.back().ms;
}

// Up to the end of the trace if the request was never answered.
std::int64_t duration(const History& history, const Request& request) {
  if (request.answered) return history.ms(*request.answered) - history.ms(request.sent);
  const std::int64_t end =
      request.disconnected ? history.ms(*request.disconnected) : end_of(history);
  return end - history.ms(request.sent);
}

// Whether the request makes this call; a SIGKILL may thaw too.
bool belongs_to(const RuntimeCall& call, const Request& request) {
  const std::map<std::string, std::string> verbs = {{"Create", "create"},
                                                    {"Pause", "pause"},
                                                    {"Resume", "resume"},
                                                    {"Kill", "kill"},
                                                    {"Delete", "delete"}};
  if (request.verb == "Start")
    return call.role == request.role &&
           call.verb == (request.role == Role::init ? "start" : "exec");
  const auto verb = verbs.find(request.verb);
  const bool thaws = request.verb == "Kill" && call.verb == "resume";
  return verb != verbs.end() && request.role == Role::init && (call.verb == verb->second || thaws);
}

// How long hanging calls may delay init's exit.
std::int64_t longest_delay(const History& history, const Life& init) {
  std::int64_t most = limit::kSoon;
  bool verb = false, execs = false;
  for (const RuntimeCall& call : history.calls) {
    const bool at_death = History::is_open(call, *init.died);
    if (call.verb == "exec") execs |= at_death;
    // A verb may begin at the moment of init's death.
    const bool behind = call.begun > *init.died && call.begun < *init.exit_published;
    if (call.verb == "start" || call.verb == "pause" || call.verb == "resume")
      verb |= at_death || behind;
    if (call.verb == "kill" && call.all)
      most += std::clamp<std::int64_t>(
          (call.ended ? history.ms(*call.ended) : end_of(history)) - history.ms(call.begun), 0,
          limit::kKillAll);
  }
  if (verb) most += limit::kInitVerb;
  if (execs) most += limit::kExecs;
  for (Role role : kExecs) {
    const Life& exec = history.life(role);
    const bool cannot_be_killed = !history.trace.delivers_signals() &&
                                  is_before(exec.created, init.exit_published) &&
                                  !is_before(exec.died, init.died);
    if (cannot_be_killed) return most + 2 * limit::kExecs;
  }
  return most;
}

}  // namespace

void exits_are_published_in_time(const History& history, Findings& findings) {
  for (const Life& life : history.lives) {
    const bool is_init = life.role == Role::init;
    const std::optional<Index>& known = is_init ? history.create_published : life.start_published;
    if (!known || !life.died || !life.exit_published) continue;
    const std::int64_t since = std::max(history.ms(*known), history.ms(*life.died));
    const std::int64_t most = is_init ? longest_delay(history, life) : limit::kSoon;
    if (history.ms(*life.exit_published) - since > most)
      findings.add_duration(*life.exit_published, history.ms(*life.exit_published) - since, most);
  }
}

void waits_are_answered(const History& history, Findings& findings) {
  for (const Request& request : history.requests) {
    if (request.verb != "Wait") continue;
    const Life& life = history.life(request.role);
    if (!request.answered) {
      if (life.exit_published || life.died) findings.add(request.sent, "never answered");
      continue;
    }
    const Entry& answer = history.answer(request);
    if (answer.code == Code::not_found) continue;
    if (answer.exit && !is_before(life.exit_published, request.answered))
      findings.add(*request.answered, "before the event");
    if (!answer.exit && life.start_published)
      findings.add(*request.answered, "without status and time");
    if (!life.exit_published) continue;
    const std::int64_t since = std::max(history.ms(*life.exit_published), history.ms(request.sent));
    if (answer.ms - since > limit::kSoon) findings.add(*request.answered, "answered too late");
  }
}

void state_and_exec_are_answered_at_once(const History& history, Findings& findings) {
  for (const Request& request : history.requests)
    if ((request.verb == "State" || request.verb == "Exec") &&
        duration(history, request) > limit::kSoon)
      findings.add_duration(request.sent, duration(history, request), limit::kSoon);
}

void delete_is_bounded(const History& history, Findings& findings) {
  constexpr std::int64_t kMost =
      limit::kDeletion + limit::kKilled + limit::kExitAfterDelete + limit::kSoon;
  for (const Request& request : history.requests)
    if (request.verb == "Delete" && duration(history, request) > kMost)
      findings.add_duration(request.sent, duration(history, request), kMost);
}

// A SIGKILL of init waits for no other call, unless the container is or is about to be frozen: then
// the runtime thaws it first, without a limit.
void kill_is_bounded(const History& history, Findings& findings) {
  const bool may_freeze = std::ranges::any_of(
      history.requests, [](const Request& request) { return request.verb == "Pause"; });
  for (const Request& request : history.requests) {
    if (request.verb != "Kill") continue;
    const bool is_init = request.role == Role::init;
    const std::int64_t most = is_init && !may_freeze
                                  ? limit::kSoon
                                  : limit::kSigkillQueue + limit::kKilled + limit::kSoon;
    const bool hangs =
        is_init && may_freeze && std::ranges::any_of(history.calls, [&](const RuntimeCall& call) {
          return belongs_to(call, request) && call.begun > request.sent;
        });
    if (!hangs && duration(history, request) > most)
      findings.add_duration(request.sent, duration(history, request), most);
  }
}

void requests_are_answered(const History& history, Findings& findings) {
  for (const Request& request : history.requests) {
    if (request.verb == "Wait") continue;  // waits_are_answered()
    if (!request.answered && (!request.disconnected || *request.disconnected > history.unblocked))
      findings.add(request.sent, "never answered");
    if (!History::is_open(request, history.unblocked) || request.sent > history.unblocked) continue;
    // The request's own call, or one that it waits for.
    const bool hangs = std::ranges::any_of(history.calls, [&](const RuntimeCall& call) {
      return call.role == request.role && History::is_open(call, history.unblocked);
    });
    if (!hangs) findings.add(request.sent, "not answered, though no call of the runtime hangs");
  }
}

void abandoned_runtime_calls_end(const History& history, Findings& findings) {
  const bool create_was_abandoned = std::ranges::any_of(
      history.requests,
      [](const Request& request) { return request.verb == "Create" && request.disconnected; });
  for (const RuntimeCall& call : history.calls) {
    const Index until = call.ended.value_or(history.trace.entries.size() - 1);
    const std::int64_t over = history.ms(until);
    std::int64_t last = -1;  // when the last client disconnected
    bool awaited = false;
    for (const Request& request : history.requests) {
      if (!belongs_to(call, request) || call.all || request.sent > call.begun) continue;
      awaited |=
          History::is_open(request, until) || (request.answered && *request.answered > call.begun);
      if (request.disconnected) last = std::max(last, history.ms(*request.disconnected));
    }
    // The service deletes a container that was created after its client had disconnected.
    const bool undoes = call.verb == "delete" && create_was_abandoned;
    const std::int64_t most = (undoes ? limit::kDeletion : limit::kAbandoned) + limit::kKilled;
    if (!awaited && last >= 0 && !call.force &&
        over - std::max(last, history.ms(call.begun)) > most)
      findings.add(call.begun, "its client disconnected long ago");
    if (call.force && over - history.ms(call.begun) > limit::kDeletion + limit::kKilled)
      findings.add(call.begun, "undoing a failure takes too long");
    if (call.all && over - history.ms(call.begun) > limit::kKillAll + limit::kKilled)
      findings.add(call.begun, "killing the remaining processes takes too long");
  }
}

}  // namespace thinshim::orders
