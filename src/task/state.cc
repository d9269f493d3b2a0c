// SPDX-License-Identifier: Apache-2.0
#include "task/state.h"

#include <string>

namespace thinshim {

const char* name_of(State state) {
  constexpr const char* kNames[] = {"created", "running", "paused", "exited", "stopped", "deleted"};
  return kNames[static_cast<int>(state)];
}

namespace {

std::string verb_of(Verb verb) {
  constexpr const char* kVerbs[] = {"start", "pause",  "resume", "update", "checkpoint", "exec",
                                    "kill",  "delete", "resize", "exit",   "publish"};
  return kVerbs[static_cast<int>(verb)];
}

}  // namespace

Error refusal(State state, Verb verb) {
  if (state == State::exited) state = State::stopped;  // exited is internal
  std::string refused = "cannot " + verb_of(verb);
  if (verb == Verb::exec) return Error::unknown(refused + " in a " + name_of(state) + " state");
  if (state == State::deleted) {
    std::string text = refused + " a deleted process";
    return verb == Verb::remove || verb == Verb::kill ? Error::not_found(text)
                                                      : Error::unknown(text);
  }
  if (state == State::created)
    return Error::unknown(refused + (verb == Verb::checkpoint ? " a task" : " task") +
                          " in created state");
  bool whole = (state == State::stopped && verb != Verb::start) ||
               (state == State::paused && verb == Verb::pause);
  return Error::unknown(refused + " a " + name_of(state) + (whole ? " container" : " process"));
}

}  // namespace thinshim
