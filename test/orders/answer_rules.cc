// SPDX-License-Identifier: Apache-2.0
// Promises about what clients are told, and about what is left.
#include <algorithm>

#include "orders/checker.h"

namespace thinshim::orders {
namespace {

template <class Visit>
void each_answer(const Story& story, const char* verb, Visit visit) {
  for (const Request& request : story.requests)
    if (request.verb == verb && request.answered) visit(request, story.answer(request));
}

bool says(const Entry& answer, const char* words) {
  return answer.text.find(words) != std::string::npos;
}

// Whether the container was paused there, as the events say.
bool was_paused(const Story& story, Place at) {
  bool paused = false;
  for (Place place = 0; place < at; ++place) {
    const Entry& entry = story.entry(place);
    if (entry.kind != Kind::event) continue;
    if (entry.verb == "paused") paused = true;
    if (entry.verb == "resumed") paused = false;
  }
  return paused;
}

bool is_called(const Story& story, const char* verb, Place at) {
  for (const RuntimeCall& call : story.calls)
    if (call.verb == verb && Story::is_open(call, at)) return true;
  return false;
}

// Whether it was so when the answer was made: it may arrive behind what happened since, but not
// later by the clock, which stands still meanwhile.
bool was_already(const Story& story, const std::optional<Place>& fact, const Request& request) {
  return fact && (*fact < request.asked || story.ms(*fact) < story.ms(*request.answered));
}

// What a state means that no exit goes with.
void check_living_state(const Story& story, const Request& request, Findings& findings) {
  const Place place = *request.answered;
  const std::string& state = story.answer(request).state;
  const Life& life = story.life(request.who);
  const bool is_init = request.who == Who::init;
  const bool was = is_init && was_paused(story, request.asked);
  const bool is = is_init && was_paused(story, place);
  if (was_already(story, life.told, request)) findings.add(place, "though its exit was told");
  if (story.answer(request).ended) findings.add(place, "though it has an end");
  if (state == "created" && was_already(story, life.started, request))
    findings.add(place, "though its start was told");
  if (state != "created" && !is_before(life.started, place))
    findings.add(place, "though its start was not told");
  if (state == "running" && was && is) findings.add(place, "though it was paused");
  if (state == "paused" && !was && !is) findings.add(place, "though it was not paused");
  if (state == "pausing" && !is_called(story, "pause", request.asked) &&
      !is_called(story, "pause", place))
    findings.add(place, "though nobody is pausing it");
  if (state == "unknown") findings.add(place, "though it is known");
}

}  // namespace

void all_agree_on_the_exit(const Story& story, Findings& findings) {
  for (const Life& life : story.lives) {
    const Ended* first = nullptr;
    for (Place place = 0; place < story.trace.entries.size(); ++place) {
      const Entry& entry = story.entry(place);
      const bool tells = entry.kind == Kind::event || entry.kind == Kind::answer;
      if (!tells || entry.who != life.who || !entry.ended) continue;
      if (!first) first = &*entry.ended;
      if (*first != *entry.ended) findings.add(place, "another end was told before");
    }
  }
}

void state_is_truthful(const Story& story, Findings& findings) {
  each_answer(story, "State", [&](const Request& request, const Entry& answer) {
    if (answer.code != Code::ok) return;
    if (answer.state != "stopped") return check_living_state(story, request, findings);
    const Life& life = story.life(request.who);
    if (!is_before(life.died, request.answered) && !is_before(life.told, request.answered))
      findings.add(*request.answered, "though it lives");
    if (is_before(life.told, request.answered) && !answer.ended)
      findings.add(*request.answered, "without its end, which was told");
  });
}

void pids_are_right(const Story& story, Findings& findings) {
  for (Place place = 0; place < story.trace.entries.size(); ++place) {
    const Entry& entry = story.entry(place);
    const bool tells = entry.kind == Kind::event || entry.kind == Kind::answer;
    if (!tells || entry.pid == 0) continue;
    const Life& life = story.life(entry.who);
    if (!is_before(life.made, place) || story.entry(*life.made).pid != entry.pid)
      findings.add(place, "it has no such pid");
  }
}

void start_is_answered_as_it_is_told(const Story& story, Findings& findings) {
  each_answer(story, "Create", [&](const Request& request, const Entry& answer) {
    const bool told = is_before(story.created, request.answered);
    if (told != (answer.code == Code::ok))
      findings.add(*request.answered, told ? "though TaskCreate was told" : "without TaskCreate");
    if (answer.code == Code::ok && answer.pid == 0)
      findings.add(*request.answered, "without a pid");
  });
  for (const Life& life : story.lives) {
    std::size_t granted = 0, gone = 0;
    for (const Request& request : story.requests) {
      if (request.verb != "Start" || request.who != life.who) continue;
      if (story.was_granted(request)) {
        ++granted;
        if (!is_before(life.started, request.answered) || *life.started < request.asked)
          findings.add(*request.answered, "without the event");
        if (story.answer(request).pid == 0) findings.add(*request.answered, "without a pid");
      }
      if (!request.answered) ++gone;
    }
    if (granted > 1) findings.add(*life.started, "it was granted twice");
    if (life.started && granted + gone == 0)
      findings.add(*life.started, "whoever asked for it was told that it failed");
  }
}

void delete_is_truthful(const Story& story, Findings& findings) {
  each_answer(story, "Delete", [&](const Request& request, const Entry& answer) {
    const Place place = *request.answered;
    const Life& life = story.life(request.who);
    const bool lives = is_before(life.made, place) && !is_before(life.died, place);
    if (answer.code != Code::ok) {
      if (says(answer, "running process") && is_before(life.died, request.asked))
        findings.add(place, "though it was dead when it was asked");
      if (request.asked > story.freed && answer.code != Code::not_found)
        findings.add(place, "though nothing is in the way");
      return;
    }
    if (lives && story.trace.arrive()) findings.add(place, "though it lives");
    if (life.started && !is_before(life.told, place)) findings.add(place, "before its exit");
    if (life.started && !answer.ended) findings.add(place, "without an end");
    if (request.who == Who::init && !is_before(story.removed, place))
      findings.add(place, "before TaskDelete");
  });
}

void kill_is_truthful(const Story& story, Findings& findings) {
  each_answer(story, "Kill", [&](const Request& request, const Entry& answer) {
    const Place place = *request.answered;
    const Life& life = story.life(request.who);
    if (answer.code == Code::ok && is_before(life.died, request.asked))
      findings.add(place, "though it was dead when it was asked");
    const bool lost = story.trace.signals == Signals::lost && request.asked < story.freed;
    if (answer.code == Code::ok && !is_before(life.died, place) && !lost)
      findings.add(place, "and it lives");
    // Nobody reaches what is left of a start that failed, where it cannot be killed.
    const bool is_out_of_reach = !story.trace.arrive() && request.who != Who::init && !life.started;
    if (answer.code == Code::not_found && is_before(story.created, place) &&
        is_before(life.made, place) && !is_before(life.died, place) && !is_out_of_reach)
      findings.add(place, "though it lives");
  });
}

// What was made for them is dead by the time that all hanging is over.
void failures_leave_nobody(const Story& story, Findings& findings) {
  for (const Request& request : story.requests) {
    const bool makes =
        request.verb == "Create" || (request.verb == "Start" && request.who != Who::init);
    const Life& life = story.life(request.who);
    const bool known =
        request.verb == "Create" ? story.created && !story.removed : life.started.has_value();
    const bool over = request.answered && *request.answered < story.freed;
    if (!makes || !over || known || story.was_granted(request)) continue;
    const bool by_this = is_before(life.made, request.answered) && *life.made > request.asked;
    if (by_this && !is_before(life.died, story.freed) && story.trace.arrive())
      findings.add(*request.answered, "what was made for it lives");
  }
}

// Of a container that nobody knows, because it was not made in the end, there stays what the
// runtime did not remove when it was told to, and who could not be killed: containerd calls the
// shim's `delete` for that.
void nothing_is_left(const Story& story, Findings& findings) {
  const bool in_vain =
      !story.trace.arrive() || std::ranges::any_of(story.calls, [&](const RuntimeCall& call) {
        return call.force && !(call.over && story.entry(*call.over).text == kSuccess);
      });
  for (Place place = 0; place < story.trace.entries.size(); ++place) {
    const Entry& entry = story.entry(place);
    if (entry.kind != Kind::left) continue;
    const bool excused =
        !story.created &&
        (entry.text == kRuntimeState ? in_vain : !story.trace.arrive() && entry.text == kInitLives);
    if (!excused) findings.add(place, "it is left");
  }
}

}  // namespace thinshim::orders
