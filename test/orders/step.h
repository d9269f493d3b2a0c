// SPDX-License-Identifier: Apache-2.0
// An order: a setup, and the steps after it.
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
    delete_it,
    disconnect,
    // How a blocked call of the runtime, `call`, continues: it creates its process and blocks
    // again, or it ends.
    create_process,
    succeed,
    fail,
    kill_call,
    // A process exits by itself.
    die,
    // Six seconds pass: longer than the shorter limits of the service, shorter than the others.
    pass_time,
  };
  Act act = Act::create;
  Role role = Role::init;
  std::string call = {};  // "start", "exec"
  bool operator==(const Step&) const = default;
};
using Act = Step::Act;

// "start", "delete exec 1", "runtime exec 1 creates the process", "init dies".
std::string to_words(const Step& step);
// Throws Error if no step has these words.
Step parse_step(const std::string& words);

// Where an order begins: the kind of pid namespace, what becomes of signals, and the first steps.
struct Setup {
  std::string name;  // "own/running"
  bool own_pid_namespace = true;
  Signals signals = Signals::delivered;
  std::vector<Step> steps = {};
};
const std::vector<Setup>& setups();

struct Order {
  const Setup* setup = nullptr;
  std::vector<Step> steps = {};  // after those of the setup
};
// "own/running: pause, init dies".
std::string to_words(const Order& order);
// Throws Error if the setup or a step is unknown.
Order parse_order(const std::string& words);

// An order in one byte for the setup and one for each step.
using Compact = std::string;
Compact compact(const Order& order);
Order expand(const Compact& bytes);

}  // namespace thinshim::orders
