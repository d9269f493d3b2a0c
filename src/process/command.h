// SPDX-License-Identifier: Apache-2.0
// A program to run: what it is, what it sees, which descriptors it gets. Running it is the Reaper's
// work. How many files it may open is what it was before the shim raised it (open_files.h).
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace thinshim {

struct Command {
  // Absolute, or a name that is looked up in this process's PATH.
  std::string program;
  // argv[0]; empty: `program` as it was given.
  std::string name;
  // Without argv[0].
  std::vector<std::string> arguments;
  // "KEY=value"; all that the program sees.
  std::vector<std::string> environment;
  // Where it runs; empty: where we do.
  std::string directory;
  // Its descriptors 0, 1, 2, ...: -1 stands for /dev/null. Those of 0 to 2 that are missing are
  // /dev/null too; everything else is closed. The caller keeps its own copies.
  std::vector<int> fds;
  // Sent to the program when this process dies; 0: nothing.
  int death_signal = 0;
  // In a process group of its own.
  bool own_group = false;
  // With the usual umask, 022, in place of ours.
  bool usual_umask = false;
};

// The environment of this process, less the variables named.
std::vector<std::string> inherited_environment(const std::vector<std::string>& without = {});

class ProgramStart;

// A program that was started. It may not run yet, and where it lies on a file system that hangs it
// does not run for long: nobody waits for that (process/launch.h).
class StartedProgram {
 public:
  StartedProgram(pid_t pid, std::shared_ptr<ProgramStart> start)
      : pid_(pid), start_(std::move(start)) {}
  pid_t pid() const { return pid_; }
  // Throws Error where the program could not be run: "fork/exec PATH: reason", or, where it is not
  // in PATH, `exec: "NAME": executable file not found in $PATH`, the words of Go's exec.LookPath,
  // which users of the stock shim know. That is known once the child has ended, or has closed the
  // descriptors that it was given; as long as it is not known this does nothing.
  void check() const;

 private:
  pid_t pid_;
  std::shared_ptr<ProgramStart> start_;
};

// Starts the program. For the Reaper, who owns every child. Throws Error where there is no child,
// for want of memory, say: "fork/exec PATH: reason".
StartedProgram start_command(const Command& command);

// Frees what was needed for those that run by now, or could not be run, and has huge pages off
// again, which they must not inherit. start_command() and check() do it too.
void finish_starts();

}  // namespace thinshim
