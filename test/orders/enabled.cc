// SPDX-License-Identifier: Apache-2.0
// Which steps may come next. Steps that would be refused at once, or repeat an earlier one, are
// left out to limit the number of orders.
#include <algorithm>

#include "orders/order_run.h"

namespace thinshim::orders {
namespace {

bool is_fault(const Step& step) { return step.act == Act::fail || step.act == Act::kill_call; }

}  // namespace

std::size_t OrderRun::count(Act act, Role role) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      steps_, [&](const Step& step) { return step.act == act && step.role == role; }));
}

std::size_t OrderRun::faults() const {
  return static_cast<std::size_t>(std::ranges::count_if(steps_, is_fault));
}

// The steps about one exec, made comparable with those about the other.
std::vector<Step> OrderRun::steps_of(Role role) const {
  std::vector<Step> steps;
  for (Step step : steps_) {
    if (step.role != role) continue;
    step.role = Role::init;
    steps.push_back(step);
  }
  return steps;
}

void OrderRun::add_client_steps(std::vector<Step>& steps) const {
  const auto may = [&](Act act, Role role, std::size_t most) {
    if (count(act, role) < most) steps.push_back({act, role});
  };
  const bool is_pending = std::ranges::any_of(
      pending_, [](const auto& request) { return !request.second.by_observer; });
  if (is_pending) may(Act::disconnect, Role::init, 1);
  const auto most = [&](const char* verb) -> std::size_t {
    const auto last = failed_.find(verb);
    return last != failed_.end() && last->second ? 2 : 1;
  };
  if (!created_) may(Act::create, Role::init, most("Create"));
  if (!is_known(Role::init) || deleted_) return;
  may(Act::start, Role::init, most("Start"));
  may(Act::kill, Role::init, 2);
  may(Act::delete_it, Role::init, 2);
  if (!created_) return;
  if (count(Act::start, Role::init) > 0) may(Act::pause, Role::init, 1);
  if (count(Act::pause, Role::init) > 0) may(Act::resume, Role::init, 1);
  for (Role role : kExecs) {
    const bool is_next = role == Role::exec1 || count(Act::exec, Role::exec1) > 0;
    if (is_next) may(Act::exec, role, 1);
    if (count(Act::exec, role) == 0) continue;
    may(Act::kill, role, 1);
    may(Act::delete_it, role, 1);
  }
}

void OrderRun::add_runtime_steps(std::vector<Step>& steps) const {
  constexpr std::size_t kMostFaults = 1;
  for (const ScriptedRuntime::Call* call : runtime_->calls()) {
    const auto add = [&](Act act) {
      const Step step{act, call->role, call->verb};
      if (std::ranges::find(steps, step) == steps.end()) steps.push_back(step);
    };
    const bool creates = call->verb == "create" || call->verb == "exec";
    const bool can_create = runtime_->can_create(*call);
    if (can_create) add(Act::create_process);
    if (!creates || call->has_created || can_create) add(Act::succeed);
    if (faults() >= kMostFaults) continue;
    add(Act::fail);
    add(Act::kill_call);
  }
}

std::vector<Step> OrderRun::enabled() const {
  std::vector<Step> steps;
  add_client_steps(steps);
  add_runtime_steps(steps);
  for (Role role : kAllRoles)
    if (runtime_->is_alive(role)) steps.push_back({Act::die, role});
  if (!runtime_->calls().empty() && count(Act::pass_time, Role::init) == 0)
    steps.push_back({Act::pass_time});
  // Two execs with the same steps are interchangeable: only exec 1 continues.
  const std::vector<Step> first = steps_of(Role::exec1);
  if (!first.empty() && first == steps_of(Role::exec2))
    std::erase_if(steps, [](const Step& step) { return step.role == Role::exec2; });
  return steps;
}

}  // namespace thinshim::orders
