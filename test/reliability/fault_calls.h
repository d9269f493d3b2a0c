// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace thinshim::test {

// System calls as faults name them. The name includes the kind of file or the command, which decide
// whether the call can fail: "openat", "read(signalfd)", "fcntl(F_GETFL)". The process is the
// caller.
std::string name_of_call(long number, const std::uint64_t* arguments, pid_t process);

// The number of a system call with such a name; -1 if it is not in the table.
long number_of_call(const std::string& name);

// How a call fails, as errno: a likely one, more if the shim distinguishes them. None for a call
// that cannot fail, or whose failure has the same effect as another outcome; `reason` says why.
struct Failures {
  std::vector<int> errors;
  std::string reason;
  long places =
      std::numeric_limits<long>::max();  // how many calls of a process can fail, the first ones
};
// nullopt for a call that is not in the table.
std::optional<Failures> failures_of_call(const std::string& name);

// Whether libuv aborts if this fails: the pipe that a loop creates for signals at its start (the
// first pipe of the server and of `delete`), and the watches of that pipe and of libuv's eventfd.
bool libuv_aborts_of(const std::string& call, long nth);

}  // namespace thinshim::test
