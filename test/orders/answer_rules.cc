// SPDX-License-Identifier: Apache-2.0
// Promises about answers, and about what is left over.
#include <algorithm>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

template <class Visit>
void each_answer(const History& history, const char* verb, Visit visit) {
  for (const Request& request : history.requests)
    if (request.verb == verb && request.answered) visit(request, history.answer(request));
}

bool has_text(const Entry& answer, const char* words) {
  return answer.text.find(words) != std::string::npos;
}

// Whether the container was paused at that index, according to the events.
bool was_paused(const History& history, Index at) {
  bool paused = false;
  for (Index index = 0; index < at; ++index) {
    const Entry& entry = history.entry(index);
    if (entry.kind != Kind::event) continue;
    if (entry.verb == "paused") paused = true;
    if (entry.verb == "resumed") paused = false;
  }
  return paused;
}

bool is_called(const History& history, const char* verb, Index at) {
  for (const RuntimeCall& call : history.calls)
    if (call.verb == verb && History::is_open(call, at)) return true;
  return false;
}

// Whether the fact holds for the answer: it is earlier than the request, or earlier than the answer
// by the clock. At the same time the answer may have been made first.
bool held_before(const History& history, const std::optional<Index>& fact, const Request& request) {
  return fact && (*fact < request.sent || history.ms(*fact) < history.ms(*request.answered));
}

// Checks a state other than "stopped".
void check_living_state(const History& history, const Request& request, Findings& findings) {
  const Index index = *request.answered;
  const std::string& state = history.answer(request).state;
  const Life& life = history.life(request.role);
  const bool is_init = request.role == Role::init;
  const bool was = is_init && was_paused(history, request.sent);
  const bool is = is_init && was_paused(history, index);
  if (held_before(history, life.exit_published, request))
    findings.add(index, "though its exit was published");
  if (history.answer(request).exit) findings.add(index, "though it has status and time of an exit");
  if (state == "created" && held_before(history, life.start_published, request))
    findings.add(index, "though its start was published");
  if (state != "created" && !is_before(life.start_published, index))
    findings.add(index, "though its start was not published");
  if (state == "running" && was && is) findings.add(index, "though it was paused");
  if (state == "paused" && !was && !is) findings.add(index, "though it was not paused");
  if (state == "pausing" && !is_called(history, "pause", request.sent) &&
      !is_called(history, "pause", index))
    findings.add(index, "though no pause is under way");
  if (state == "unknown") findings.add(index, "though the process is known");
}

}  // namespace

void answers_and_events_agree_on_the_exit(const History& history, Findings& findings) {
  for (const Life& life : history.lives) {
    const ExitInfo* first = nullptr;
    for (Index index = 0; index < history.trace.entries.size(); ++index) {
      const Entry& entry = history.entry(index);
      const bool reports = entry.kind == Kind::event || entry.kind == Kind::answer;
      if (!reports || entry.role != life.role || !entry.exit) continue;
      if (!first) first = &*entry.exit;
      if (*first != *entry.exit) findings.add(index, "differs from an earlier answer or event");
    }
  }
}

void state_is_truthful(const History& history, Findings& findings) {
  each_answer(history, "State", [&](const Request& request, const Entry& answer) {
    if (answer.code != Code::ok) return;
    if (answer.state != "stopped") return check_living_state(history, request, findings);
    const Life& life = history.life(request.role);
    if (!is_before(life.died, request.answered) &&
        !is_before(life.exit_published, request.answered))
      findings.add(*request.answered, "though the process is alive");
    if (is_before(life.exit_published, request.answered) && !answer.exit)
      findings.add(*request.answered, "without the published status and time");
  });
}

void pids_are_right(const History& history, Findings& findings) {
  for (Index index = 0; index < history.trace.entries.size(); ++index) {
    const Entry& entry = history.entry(index);
    const bool reports = entry.kind == Kind::event || entry.kind == Kind::answer;
    if (!reports || entry.pid == 0) continue;
    const Life& life = history.life(entry.role);
    if (!is_before(life.created, index) || history.entry(*life.created).pid != entry.pid)
      findings.add(index, "not the pid of the process");
  }
}

void answers_match_start_events(const History& history, Findings& findings) {
  each_answer(history, "Create", [&](const Request& request, const Entry& answer) {
    const bool published = is_before(history.create_published, request.answered);
    if (published != (answer.code == Code::ok))
      findings.add(*request.answered,
                   published ? "though TaskCreate was published" : "without TaskCreate");
    if (answer.code == Code::ok && answer.pid == 0)
      findings.add(*request.answered, "without a pid");
  });
  for (const Life& life : history.lives) {
    std::size_t succeeded = 0, unanswered = 0;
    for (const Request& request : history.requests) {
      if (request.verb != "Start" || request.role != life.role) continue;
      if (history.succeeded(request)) {
        ++succeeded;
        if (!is_before(life.start_published, request.answered) ||
            *life.start_published < request.sent)
          findings.add(*request.answered, "without the event");
        if (history.answer(request).pid == 0) findings.add(*request.answered, "without a pid");
      }
      if (!request.answered) ++unanswered;
    }
    if (succeeded > 1) findings.add(*life.start_published, "two Starts succeeded");
    if (life.start_published && succeeded + unanswered == 0)
      findings.add(*life.start_published, "though the answer to Start was an error");
  }
}

void delete_is_truthful(const History& history, Findings& findings) {
  each_answer(history, "Delete", [&](const Request& request, const Entry& answer) {
    const Index index = *request.answered;
    const Life& life = history.life(request.role);
    const bool lives = is_before(life.created, index) && !is_before(life.died, index);
    if (answer.code != Code::ok) {
      if (has_text(answer, "running process") && is_before(life.died, request.sent))
        findings.add(index, "though the process was dead before the request");
      if (request.sent > history.unblocked && answer.code != Code::not_found)
        findings.add(index, "though nothing prevents the deletion");
      return;
    }
    if (lives && history.trace.delivers_signals())
      findings.add(index, "though the process is alive");
    if (life.start_published && !is_before(life.exit_published, index))
      findings.add(index, "before its exit");
    if (life.start_published && !answer.exit) findings.add(index, "without status and time");
    if (request.role == Role::init && !is_before(history.delete_published, index))
      findings.add(index, "before TaskDelete");
  });
}

void kill_is_truthful(const History& history, Findings& findings) {
  each_answer(history, "Kill", [&](const Request& request, const Entry& answer) {
    const Index index = *request.answered;
    const Life& life = history.life(request.role);
    if (answer.code == Code::ok && is_before(life.died, request.sent))
      findings.add(index, "though the process was dead before the request");
    const bool lost = history.trace.signals == Signals::lost && request.sent < history.unblocked;
    if (answer.code == Code::ok && !is_before(life.died, index) && !lost)
      findings.add(index, "and the process is alive");
    // The process of a failed start that could not be killed has no id to reach it by.
    const bool is_out_of_reach =
        !history.trace.delivers_signals() && request.role != Role::init && !life.start_published;
    if (answer.code == Code::not_found && is_before(history.create_published, index) &&
        is_before(life.created, index) && !is_before(life.died, index) && !is_out_of_reach)
      findings.add(index, "though the process is alive");
  });
}

// A process that a failed call has created is dead when the calls are unblocked.
void failed_calls_leave_no_process(const History& history, Findings& findings) {
  for (const Request& request : history.requests) {
    const bool creates =
        request.verb == "Create" || (request.verb == "Start" && request.role != Role::init);
    const Life& life = history.life(request.role);
    const bool known = request.verb == "Create"
                           ? history.create_published && !history.delete_published
                           : life.start_published.has_value();
    const bool is_over = request.answered && *request.answered < history.unblocked;
    if (!creates || !is_over || known || history.succeeded(request)) continue;
    const bool by_this = is_before(life.created, request.answered) && *life.created > request.sent;
    if (by_this && !is_before(life.died, history.unblocked) && history.trace.delivers_signals())
      findings.add(*request.answered, "the process that it has created is alive");
  }
}

// After a failed Create, a state that the runtime did not delete may be left over, and an init that
// cannot be killed: containerd calls the shim's `delete` for them.
void nothing_is_left(const History& history, Findings& findings) {
  const bool delete_failed =
      !history.trace.delivers_signals() ||
      std::ranges::any_of(history.calls, [&](const RuntimeCall& call) {
        return call.force && !(call.ended && history.entry(*call.ended).text == kSuccess);
      });
  for (Index index = 0; index < history.trace.entries.size(); ++index) {
    const Entry& entry = history.entry(index);
    if (entry.kind != Kind::left_over) continue;
    const bool excused = !history.create_published &&
                         (entry.text == kRuntimeState
                              ? delete_failed
                              : !history.trace.delivers_signals() && entry.text == kInitLives);
    if (!excused) findings.add(index, "left over");
  }
}

}  // namespace thinshim::orders
