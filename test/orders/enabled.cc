// SPDX-License-Identifier: Apache-2.0
// Which steps may come next. What could only be refused at once, or would be the same once more, is
// left out, so that the number of orders stays within what can be tried.
#include <algorithm>

#include "orders/play.h"

namespace thinshim::orders {
namespace {

bool is_fault(const Step& step) { return step.act == Act::fail || step.act == Act::kill_call; }

}  // namespace

std::size_t Play::count(Act act, Who who) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      steps_, [&](const Step& step) { return step.act == act && step.who == who; }));
}

std::size_t Play::faults() const {
  return static_cast<std::size_t>(std::ranges::count_if(steps_, is_fault));
}

// What the script did with an exec.
std::vector<Step> Play::history_of(Who who) const {
  std::vector<Step> history;
  for (Step step : steps_) {
    if (step.who != who) continue;
    step.who = Who::init;
    history.push_back(step);
  }
  return history;
}

void Play::add_client_steps(std::vector<Step>& steps) const {
  const auto may = [&](Act act, Who who, std::size_t most) {
    if (count(act, who) < most) steps.push_back({act, who});
  };
  const bool awaits =
      std::ranges::any_of(asked_, [](const auto& request) { return !request.second.by_observer; });
  if (awaits) may(Act::hang_up, Who::init, 1);
  const auto again = [&](const char* verb) -> std::size_t {
    const auto last = failed_.find(verb);
    return last != failed_.end() && last->second ? 2 : 1;
  };
  if (!created_) may(Act::create, Who::init, again("Create"));
  if (!is_known(Who::init) || removed_) return;
  may(Act::start, Who::init, again("Start"));
  may(Act::kill, Who::init, 2);
  may(Act::remove, Who::init, 2);
  if (!created_) return;
  if (count(Act::start, Who::init) > 0) may(Act::pause, Who::init, 1);
  if (count(Act::pause, Who::init) > 0) may(Act::resume, Who::init, 1);
  for (Who who : kExecs) {
    const bool has_turn = who == Who::exec1 || count(Act::exec, Who::exec1) > 0;
    if (has_turn) may(Act::exec, who, 1);
    if (count(Act::exec, who) == 0) continue;
    may(Act::kill, who, 1);
    may(Act::remove, who, 1);
  }
}

void Play::add_runtime_steps(std::vector<Step>& steps) const {
  constexpr std::size_t kMostFaults = 1;
  for (const Stage::Call* call : stage_->calls()) {
    const auto add = [&](Act act) {
      const Step step{act, call->who, call->verb};
      if (std::ranges::find(steps, step) == steps.end()) steps.push_back(step);
    };
    const bool makes = call->verb == "create" || call->verb == "exec";
    const bool can_make = stage_->can_make(*call);
    if (can_make) add(Act::make);
    if (!makes || call->has_made || can_make) add(Act::let_return);
    if (faults() >= kMostFaults) continue;
    add(Act::fail);
    add(Act::kill_call);
  }
}

std::vector<Step> Play::enabled() const {
  std::vector<Step> steps;
  add_client_steps(steps);
  add_runtime_steps(steps);
  for (Who who : kEverybody)
    if (stage_->lives(who)) steps.push_back({Act::die, who});
  if (!stage_->calls().empty() && count(Act::pass, Who::init) == 0) steps.push_back({Act::pass});
  // Two execs that have lived alike are one and the same.
  const std::vector<Step> lived = history_of(Who::exec1);
  if (!lived.empty() && lived == history_of(Who::exec2))
    std::erase_if(steps, [](const Step& step) { return step.who == Who::exec2; });
  return steps;
}

}  // namespace thinshim::orders
