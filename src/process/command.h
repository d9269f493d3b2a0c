// SPDX-License-Identifier: Apache-2.0
// A program to run: what it is, what it sees, which descriptors it gets. Running it is the Reaper's
// work. How many files it may open is what it was before the shim raised it (open_files.h).
#pragma once

#include <sys/types.h>

#include <string>
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

// The absolute path of a program as execvp would find it. Throws Error with the words of Go's
// exec.LookPath, `exec: "NAME": executable file not found in $PATH`, which is what users of the
// stock shim know.
std::string find_program(const std::string& name);

// Starts the program and returns its pid. For the Reaper, who owns every child. Throws Error
// "fork/exec PATH: reason".
pid_t start_command(const Command& command);

}  // namespace thinshim
