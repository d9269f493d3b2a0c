// SPDX-License-Identifier: Apache-2.0
// The states of a container process and the verbs that each allows: one table for init, one for
// execs.
//
// A dead process is `exited` until its exit is published: after its start, after the exits of its
// execs, and after its output was read (task/exits.h). Clients see the state before until then.
// Kill says that it has finished, Delete waits, no other verb is allowed.
//
// The texts of a refusal are the stock shim's (containerd,
// cmd/containerd-shim-runc-v2/process/init_state.go and exec_state.go), because clients match on
// them: "cannot delete a running process", "cannot exec in a paused state".
#pragma once

#include <optional>
#include "base/error.h"

namespace thinshim {

enum class State { created, running, paused, exited, stopped, deleted };
enum class Verb {
  start,
  pause,
  resume,
  update,
  checkpoint,
  exec,
  kill,
  remove,
  resize,
  exit,     // the process exits
  publish,  // its exit is published
};

// "created", as containerd writes it.
const char* name_of(State state);

struct Rule {
  State from;
  Verb verb;
  State to;
};

inline constexpr Rule kInitRules[] = {
    {State::created, Verb::start, State::running},
    {State::created, Verb::update, State::created},
    {State::created, Verb::kill, State::created},
    {State::created, Verb::remove, State::deleted},
    {State::created, Verb::exec, State::created},
    {State::created, Verb::resize, State::created},
    {State::created, Verb::exit, State::exited},
    {State::running, Verb::pause, State::paused},
    {State::running, Verb::update, State::running},
    {State::running, Verb::checkpoint, State::running},
    {State::running, Verb::exec, State::running},
    {State::running, Verb::kill, State::running},
    {State::running, Verb::resize, State::running},
    {State::running, Verb::exit, State::exited},
    {State::paused, Verb::resume, State::running},
    {State::paused, Verb::update, State::paused},
    {State::paused, Verb::checkpoint, State::paused},
    {State::paused, Verb::kill, State::paused},
    {State::paused, Verb::resize, State::paused},
    {State::paused, Verb::exit, State::exited},
    {State::exited, Verb::kill, State::exited},
    {State::exited, Verb::resize, State::exited},
    {State::exited, Verb::publish, State::stopped},
    {State::stopped, Verb::kill, State::stopped},
    {State::stopped, Verb::remove, State::deleted},
    {State::stopped, Verb::resize, State::stopped},
};

inline constexpr Rule kExecRules[] = {
    {State::created, Verb::start, State::running},  {State::created, Verb::kill, State::created},
    {State::created, Verb::remove, State::deleted}, {State::created, Verb::resize, State::created},
    {State::created, Verb::exit, State::exited},    {State::running, Verb::kill, State::running},
    {State::running, Verb::resize, State::running}, {State::running, Verb::exit, State::exited},
    {State::exited, Verb::kill, State::exited},     {State::exited, Verb::resize, State::exited},
    {State::exited, Verb::publish, State::stopped}, {State::stopped, Verb::kill, State::stopped},
    {State::stopped, Verb::remove, State::deleted},
};

// The state after the verb, or nothing where `from` does not allow it.
template <std::size_t N>
constexpr std::optional<State> next(const Rule (&rules)[N], State from, Verb verb) {
  for (const Rule& rule : rules)
    if (rule.from == from && rule.verb == verb) return rule.to;
  return std::nullopt;
}

// Why `verb` is refused in `state`: Error unknown, or not_found to delete or kill a deleted
// process.
Error refusal(State state, Verb verb);

}  // namespace thinshim
