// SPDX-License-Identifier: Apache-2.0
// The states of a container process and what may be done in each: one table for init, one for
// execs.
//
// A process that is dead is `exited` until its exit has been published: first its start must have
// been told, its execs be gone, its output be read (task/container.h). Clients are still told the
// state before. Kill finds it finished, Delete waits, nothing else can be begun in it.
//
// The words of a refusal are those of the stock shim (containerd,
// cmd/containerd-shim-runc-v2/process/init_state.go and exec_state.go), because people and programs
// know them: "cannot delete a running process", "cannot exec in a paused state".
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
  exit,     // the process dies
  publish,  // its exit is told
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

// Where a verb leads, or nothing where the state refuses it.
template <std::size_t N>
constexpr std::optional<State> next(const Rule (&rules)[N], State from, Verb verb) {
  for (const Rule& rule : rules)
    if (rule.from == from && rule.verb == verb) return rule.to;
  return std::nullopt;
}

// Why `verb` is refused in `state`: without a class, but for what is deleted already (not_found).
Error refusal(State state, Verb verb);

}  // namespace thinshim
