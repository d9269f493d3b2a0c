// SPDX-License-Identifier: Apache-2.0
#include "orders/step.h"

#include <algorithm>
#include <map>

namespace thinshim::orders {
namespace {

std::string call_words(const Step& step) {
  return "runtime " + step.call +
         (step.call == "exec" ? std::string(name_of(step.role)).substr(4) : std::string());
}

std::vector<Step> make_steps() {
  std::vector<Step> steps = {{Act::create}, {Act::start},      {Act::pause},
                             {Act::resume}, {Act::disconnect}, {Act::pass_time}};
  for (Role role : kAllRoles)
    for (Act act : {Act::kill, Act::delete_it, Act::die}) steps.push_back({act, role});
  for (Role role : kExecs) steps.push_back({Act::exec, role});
  for (Act act : {Act::create_process, Act::succeed, Act::fail, Act::kill_call}) {
    for (const char* call : {"create", "start", "kill", "pause", "resume", "delete", "state"})
      steps.push_back({act, Role::init, call});
    for (Role role : kExecs) steps.push_back({act, role, "exec"});
  }
  return steps;
}

const std::vector<Step>& all_steps() {
  static const std::vector<Step> all = make_steps();
  return all;
}

std::vector<Step> parse_steps(std::string words) {
  std::vector<Step> steps;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(", "), words.size());
    steps.push_back(parse_step(words.substr(0, end)));
    words.erase(0, end + 2);
  }
  return steps;
}

std::vector<Setup> make_setups() {
  const std::string created = "create, runtime create returns";
  const std::string running = created + ", start, runtime start returns";
  const std::string one = running + ", exec 1, runtime exec 1 returns";
  const std::string two = one + ", exec 2, runtime exec 2 returns";
  const std::pair<const char*, std::string> prefixes[] = {{"empty", ""},
                                                          {"created", created},
                                                          {"running", running},
                                                          {"one exec", one},
                                                          {"two execs", two}};
  const struct {
    const char* name;
    bool own;
    Signals signals;
  } kernels[] = {{"own", true, Signals::delivered},
                 {"shared", false, Signals::delivered},
                 {"refused", false, Signals::refused},
                 {"lost", false, Signals::lost}};
  std::vector<Setup> made;
  for (const auto& kernel : kernels)
    for (const auto& [name, steps] : prefixes)
      made.push_back(
          {std::string(kernel.name) + "/" + name, kernel.own, kernel.signals, parse_steps(steps)});
  return made;
}

}  // namespace

std::string to_words(const Step& step) {
  const std::string role = name_of(step.role);
  switch (step.act) {
    case Act::create:
      return "create";
    case Act::start:
      return "start";
    case Act::exec:
      return role;
    case Act::kill:
      return "kill " + role;
    case Act::pause:
      return "pause";
    case Act::resume:
      return "resume";
    case Act::delete_it:
      return "delete " + role;
    case Act::disconnect:
      return "disconnect";
    case Act::create_process:
      return call_words(step) + " creates the process";
    case Act::succeed:
      return call_words(step) + " returns";
    case Act::fail:
      return call_words(step) + " fails";
    case Act::kill_call:
      return call_words(step) + " is killed";
    case Act::die:
      return role + " dies";
    case Act::pass_time:
      return "time passes";
  }
  return "";
}

Step parse_step(const std::string& words) {
  static const std::map<std::string, Step> steps = [] {
    std::map<std::string, Step> named;
    for (const Step& step : all_steps()) named[to_words(step)] = step;
    return named;
  }();
  const auto found = steps.find(words);
  if (found == steps.end()) throw Error::invalid_argument("unknown step: \"" + words + "\"");
  return found->second;
}

const std::vector<Setup>& setups() {
  static const std::vector<Setup> made = make_setups();
  return made;
}

std::string to_words(const Order& order) {
  std::string words = order.setup->name + ":";
  const char* separator = " ";
  for (const Step& step : order.steps) {
    words += separator + to_words(step);
    separator = ", ";
  }
  return words;
}

Order parse_order(const std::string& words) {
  const std::size_t colon = words.find(':');
  const std::string name = words.substr(0, colon);
  for (const Setup& setup : setups()) {
    if (setup.name != name) continue;
    const std::string steps = colon == std::string::npos ? "" : words.substr(colon + 1);
    return {&setup, parse_steps(steps.substr(std::min<std::size_t>(1, steps.size())))};
  }
  throw Error::invalid_argument("unknown setup: \"" + name + "\"");
}

Compact compact(const Order& order) {
  Compact bytes(1, static_cast<char>(order.setup - setups().data()));
  for (const Step& step : order.steps)
    bytes += static_cast<char>(std::ranges::find(all_steps(), step) - all_steps().begin());
  return bytes;
}

Order expand(const Compact& bytes) {
  Order order{&setups().at(static_cast<std::size_t>(bytes.front())), {}};
  for (char byte : bytes.substr(1))
    order.steps.push_back(all_steps().at(static_cast<std::size_t>(byte)));
  return order;
}

}  // namespace thinshim::orders
