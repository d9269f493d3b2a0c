// SPDX-License-Identifier: Apache-2.0
// What happened in one order of events: requests and answers, published events, calls of the
// runtime, processes created and dead. Entries are in the order in which they happened; times are
// milliseconds of the virtual clock (kernel.h).
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
enum class Role { init, exec1, exec2 };
inline constexpr std::array kAllRoles = {Role::init, Role::exec1, Role::exec2};
inline constexpr std::array kExecs = {Role::exec1, Role::exec2};
// "init", "exec 1", "exec 2".
const char* name_of(Role role);

// How a process ended, as an event or an answer of the service says.
struct ExitInfo {
  int status = 0;
  std::int64_t at = 0;  // wall clock, nanoseconds
  bool operator==(const ExitInfo&) const = default;
};

struct Entry {
  enum class Kind {
    step,             // of the script: `text`
    request,          // `number`, `verb` of the Task API, `role`
    answer,           // to request `number`: `code`, `text` of an error; `pid`, `state`, `exit`
    disconnected,     // the client of request `number` disconnected before the answer
    event,            // `verb` is the last word of its topic; `role`, `pid`, `exit`
    call,             // of the runtime: `number`, `verb`, `role`; `text` is "force" or "all"
    returned,         // call `number` has ended; `text` says how
    process_created,  // `role`, `pid`
    process_died,     // `role`, `pid`, and `status`
    unblocked,        // from now on no call hangs, and no signal is refused
    left_over,        // `text` remains after the service was destroyed
    end,              // of the trace
  };
  Kind kind = Kind::step;
  std::int64_t ms = 0;
  std::string verb = {};
  Role role = Role::init;
  int number = 0;
  pid_t pid = 0;
  int status = 0;
  Code code = Code::ok;
  std::string state = {};
  std::optional<ExitInfo> exit = {};
  std::string text = {};
};
using Kind = Entry::Kind;

// `text` of a call of the runtime that has succeeded.
inline constexpr const char* kSuccess = "success";
// `text` of two of the things that may be left over.
inline constexpr const char* kRuntimeState = "the runtime's state of the container";
inline constexpr const char* kInitLives = "init lives";

// What becomes of signals to the container's processes, until the entry `unblocked`: they are
// delivered; the kernel refuses them with EPERM, as a security module does; or they have no effect,
// as on a process in an uninterruptible sleep.
enum class Signals { delivered, refused, lost };

struct Trace {
  // Whether the kernel kills the execs when init dies.
  bool own_pid_namespace = true;
  Signals signals = Signals::delivered;
  bool delivers_signals() const { return signals == Signals::delivered; }
  // The wall clock when the trace begins, in nanoseconds.
  std::int64_t wall = 0;
  std::vector<Entry> entries;
};

// One line for the reader of a report.
std::string to_line(const Entry& entry);
// All lines, without answers to State that are equal to the answer before.
std::string to_text(const Trace& trace);

}  // namespace thinshim::orders
