// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace thinshim::test {

// A line of the process table, from /proc. The fields of one that ends meanwhile are empty.
struct Process {
  pid_t pid = -1;
  pid_t parent = -1;
  char state = '?';                    // 'Z' for a zombie
  std::string name;                    // at most 15 characters
  std::vector<std::string> arguments;  // none for a zombie

  std::string command() const;  // the arguments in a line, or else [name]
};

std::vector<Process> processes();
Process process(pid_t pid);
std::vector<Process> children_of(pid_t pid);

// Where each open file descriptor of the process leads to, "5 -> /dev/null"; sorted.
std::vector<std::string> open_files(pid_t pid);
// The same, once they have been the same for a tenth of a second.
std::vector<std::string> open_files_at_rest(pid_t pid);

// The serving shims of this containerd namespace, by their command line: what containerd's Go shim
// shows in `ps` and scripts rely on. The short-lived `start` and `delete` are not among them.
std::vector<Process> shims_of_namespace(const std::string& containerd_namespace);

}  // namespace thinshim::test
