// SPDX-License-Identifier: Apache-2.0
#include "orders/step.h"

#include <algorithm>
#include <map>

namespace thinshim::orders {
namespace {

std::string call_words(const Step& step) {
  return "runtime " + step.call +
         (step.call == "exec" ? std::string(name_of(step.who)).substr(4) : std::string());
}

// Every step that there is.
std::vector<Step> make_steps() {
  std::vector<Step> steps = {{Act::create}, {Act::start},   {Act::pause},
                             {Act::resume}, {Act::hang_up}, {Act::pass}};
  for (Who who : kEverybody)
    for (Act act : {Act::kill, Act::remove, Act::die}) steps.push_back({act, who});
  for (Who who : kExecs) steps.push_back({Act::exec, who});
  for (Act act : {Act::make, Act::let_return, Act::fail, Act::kill_call}) {
    for (const char* call : {"create", "start", "kill", "pause", "resume", "delete", "state"})
      steps.push_back({act, Who::init, call});
    for (Who who : kExecs) steps.push_back({act, who, "exec"});
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

std::vector<Scene> make_scenes() {
  const std::string created = "create, runtime create returns";
  const std::string running = created + ", start, runtime start returns";
  const std::string one = running + ", exec 1, runtime exec 1 returns";
  const std::string two = one + ", exec 2, runtime exec 2 returns";
  const std::pair<const char*, std::string> begins[] = {{"empty", ""},
                                                        {"created", created},
                                                        {"running", running},
                                                        {"one exec", one},
                                                        {"two execs", two}};
  const struct {
    const char* name;
    bool own;
    Signals signals;
  } kernels[] = {{"own", true, Signals::arrive},
                 {"shared", false, Signals::arrive},
                 {"refused", false, Signals::refused},
                 {"lost", false, Signals::lost}};
  std::vector<Scene> made;
  for (const auto& kernel : kernels)
    for (const auto& [name, steps] : begins)
      made.push_back(
          {std::string(kernel.name) + "/" + name, kernel.own, kernel.signals, parse_steps(steps)});
  return made;
}

}  // namespace

std::string to_words(const Step& step) {
  const std::string who = name_of(step.who);
  switch (step.act) {
    case Act::create:
      return "create";
    case Act::start:
      return "start";
    case Act::exec:
      return who;
    case Act::kill:
      return "kill " + who;
    case Act::pause:
      return "pause";
    case Act::resume:
      return "resume";
    case Act::remove:
      return "delete " + who;
    case Act::hang_up:
      return "hang up";
    case Act::make:
      return call_words(step) + " makes it";
    case Act::let_return:
      return call_words(step) + " returns";
    case Act::fail:
      return call_words(step) + " fails";
    case Act::kill_call:
      return call_words(step) + " is killed";
    case Act::die:
      return who + " dies";
    case Act::pass:
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
  if (found == steps.end()) throw Error::invalid_argument("there is no step \"" + words + "\"");
  return found->second;
}

const std::vector<Scene>& scenes() {
  static const std::vector<Scene> made = make_scenes();
  return made;
}

std::string to_words(const Order& order) {
  std::string words = order.scene->name + ":";
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
  for (const Scene& scene : scenes()) {
    if (scene.name != name) continue;
    const std::string steps = colon == std::string::npos ? "" : words.substr(colon + 1);
    return {&scene, parse_steps(steps.substr(std::min<std::size_t>(1, steps.size())))};
  }
  throw Error::invalid_argument("there is no scene \"" + name + "\"");
}

Compact compact(const Order& order) {
  Compact bytes(1, static_cast<char>(order.scene - scenes().data()));
  for (const Step& step : order.steps)
    bytes += static_cast<char>(std::ranges::find(all_steps(), step) - all_steps().begin());
  return bytes;
}

Order expand(const Compact& bytes) {
  Order order{&scenes().at(static_cast<std::size_t>(bytes.front())), {}};
  for (char byte : bytes.substr(1))
    order.steps.push_back(all_steps().at(static_cast<std::size_t>(byte)));
  return order;
}

}  // namespace thinshim::orders
