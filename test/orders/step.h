// SPDX-License-Identifier: Apache-2.0
// What orders are made of: steps, and where they begin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "orders/trace.h"

namespace thinshim::orders {

struct Step {
  enum class Act {
    // What the client does.
    create,
    start,
    exec,  // adds an exec and starts it
    kill,  // SIGKILL
    pause,
    resume,
    remove,
    hang_up,
    // How a call of the runtime, `call`, goes on: it makes its process and stands still again, or
    // it
    // ends.
    make,
    let_return,
    fail,
    kill_call,
    // A process ends by itself.
    die,
    // Six seconds pass: more than the service gives to the shorter waits, less than to the longer.
    pass,
  };
  Act act = Act::create;
  Who who = Who::init;
  std::string call = {};  // "start", "exec"
  bool operator==(const Step&) const = default;
};
using Act = Step::Act;

// "start", "delete exec 1", "runtime exec 1 makes it", "init dies".
std::string to_words(const Step& step);
// Throws Error where it is none.
Step parse_step(const std::string& words);

// Where an order begins: whose pid namespace the container has, what becomes of signals, and what
// was done before.
struct Scene {
  std::string name;  // "own/running"
  bool own_pid_namespace = true;
  Signals signals = Signals::arrive;
  std::vector<Step> before = {};
};
const std::vector<Scene>& scenes();

struct Order {
  const Scene* scene = nullptr;
  std::vector<Step> steps = {};
};
// "own/running: pause, init dies".
std::string to_words(const Order& order);
// Throws Error where it is none.
Order parse_order(const std::string& words);

// The same in few bytes.
using Compact = std::string;
Compact compact(const Order& order);
Order expand(const Compact& bytes);

}  // namespace thinshim::orders
