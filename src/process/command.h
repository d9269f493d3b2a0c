// SPDX-License-Identifier: Apache-2.0
// A program to run: its path, arguments, environment and descriptors. The Reaper starts it. Its
// RLIMIT_NOFILE is that of the shim before raise_open_files_limit() (open_files.h).
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace thinshim {

struct Command {
  // A path, or a name without '/' that is searched in this process's PATH.
  std::string program;
  // argv[0]; empty: `program`.
  std::string name;
  // Without argv[0].
  std::vector<std::string> arguments;
  // "KEY=value"; the complete environment.
  std::vector<std::string> environment;
  // Working directory; empty: that of this process.
  std::string directory;
  // Its descriptors 0, 1, 2, ...; -1: /dev/null. 0 to 2 are /dev/null if they are not listed; all
  // other descriptors are closed. The caller keeps its own copies.
  std::vector<int> fds;
  // Sent to the program when this process dies (PR_SET_PDEATHSIG); 0: none.
  int death_signal = 0;
  // Run in a new process group.
  bool own_group = false;
  // Run with umask 022; otherwise the umask is inherited.
  bool default_umask = false;
};

// The environment of this process without the variables named.
std::vector<std::string> inherited_environment(const std::vector<std::string>& without = {});

class ProgramStart;

// A child that runs a program, or is about to: execve(2) may still be under way, and hangs if the
// program is on a hung file system. The shim does not wait for it (process/launch.h).
class StartedProgram {
 public:
  StartedProgram(pid_t pid, std::shared_ptr<ProgramStart> start)
      : pid_(pid), start_(std::move(start)) {}
  pid_t pid() const { return pid_; }
  // Throws Error if the program could not be run: "fork/exec PATH: reason", or, if it is not in
  // PATH, `exec: "NAME": executable file not found in $PATH` (the texts of Go's os/exec). The
  // result is known once the child has exited, or has closed the descriptors that it was given;
  // before, this does nothing.
  void check() const;

 private:
  pid_t pid_;
  std::shared_ptr<ProgramStart> start_;
};

// Starts the program. For the Reaper only, which owns all children. Throws Error
// "fork/exec PATH: reason" if clone(2) fails (out of memory, for example).
StartedProgram start_command(Command command);

// Frees the memory of starts whose execve(2) has succeeded or failed. When none is left, disables
// transparent huge pages again if they were disabled before: programs would inherit that.
// start_command() and check() call it too.
void free_finished_starts();

}  // namespace thinshim
