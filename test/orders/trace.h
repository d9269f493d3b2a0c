// SPDX-License-Identifier: Apache-2.0
// What happened in one order of things: what clients asked and were told, what was published, which
// calls of the runtime there were, who died and when. In the order in which it happened; times are
// milliseconds of a clock that only passes where everybody waits (kernel.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace thinshim::orders {

// The container's processes: its init and two execs.
enum class Who { init, exec1, exec2 };
inline constexpr std::array kEverybody = {Who::init, Who::exec1, Who::exec2};
inline constexpr std::array kExecs = {Who::exec1, Who::exec2};
// "init", "exec 1", "exec 2".
const char* name_of(Who who);

// How a process ended, as the service tells it.
struct Ended {
  int status = 0;
  std::int64_t at = 0;  // wall clock, nanoseconds
  bool operator==(const Ended&) const = default;
};

struct Entry {
  enum class Kind {
    step,      // of the script: `text`
    request,   // `number`, `verb` of the Task API, `who`
    answer,    // to request `number`: `code`, `text` of an error; `pid`, `state`, `ended` as told
    hung_up,   // the client of request `number` has gone before it was answered
    event,     // `verb` is its topic's last word; `who`, `pid`, `ended`
    call,      // of the runtime: `number`, `verb`, `who`; `text` is "force" or "all"
    returned,  // call `number` is over; `text` says how
    made,      // a process: `who`, `pid`
    died,      // `who`, `pid`, and `status`
    freed,     // from now on no call hangs, and no signal is refused
    left,      // something that is left when the service has gone: `text`
    end,       // of the trace
  };
  Kind kind = Kind::step;
  std::int64_t ms = 0;
  std::string verb = {};
  Who who = Who::init;
  int number = 0;
  pid_t pid = 0;
  int status = 0;
  Code code = Code::ok;
  std::string state = {};
  std::optional<Ended> ended = {};
  std::string text = {};
};
using Kind = Entry::Kind;

// How a call of the runtime ends that has done its work.
inline constexpr const char* kSuccess = "success";
// What may be left, among other things.
inline constexpr const char* kRuntimeState = "the runtime's state of the container";
inline constexpr const char* kInitLives = "init lives";

// What becomes of signals for the container's processes, until the entry `freed`: they do what they
// do; the kernel refuses them (as a security module does, EPERM); or nobody ever dies of them (a
// process that waits in the kernel).
enum class Signals { arrive, refused, lost };

struct Trace {
  // Whether the kernel kills the execs when init dies.
  bool own_pid_namespace = true;
  Signals signals = Signals::arrive;
  bool arrive() const { return signals == Signals::arrive; }
  // The wall clock when the trace begins, in nanoseconds.
  std::int64_t wall = 0;
  std::vector<Entry> entries;
};

// One line, for people.
std::string to_line(const Entry& entry);
// Without answers to State that say what the one before said.
std::string to_text(const Trace& trace);

}  // namespace thinshim::orders
