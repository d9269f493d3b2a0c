// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace thinshim::test {

// System calls as faults see them: by a name that says also on what kind of file or with which
// command, since that decides whether it can fail: "openat", "read(signalfd)", "fcntl(F_GETFL)".
// The process is one whose call that is.
std::string name_of_call(long number, const std::uint64_t* arguments, pid_t process);

// The number of a system call by such a name; -1 for one that nobody has thought about yet.
long number_of_call(const std::string& name);

// How a call fails, as errno: one that is likely, more where the shim has reason to tell them
// apart. None for a call that does not fail, or whose failure says no more than an outcome that
// occurs anyhow; `reason` says why.
struct Failures {
  std::vector<int> errors;
  std::string reason;
  long places = std::numeric_limits<long>::max();  // how many of a process can fail, its first ones
};
// Nothing for a call that nobody has thought about yet.
std::optional<Failures> failures_of_call(const std::string& name);

// Whether libuv ends the process where this fails: the pipe that a loop makes for signals at its
// beginning (the first of the server and of `delete`), and watching that and its eventfd.
bool libuv_aborts_of(const std::string& call, long nth);

}  // namespace thinshim::test
