// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace thinshim::test {

// A process, read from /proc. If it exits meanwhile, fields are empty.
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

// The open file descriptors of the process, "5 -> /dev/null"; sorted.
std::vector<std::string> open_files(pid_t pid);
// The same, once they have not changed for 100 ms.
std::vector<std::string> open_files_at_rest(pid_t pid);

// The serving shims of this containerd namespace, found by their command line, which is that of the
// stock shim. Without the short-lived actions `start` and `delete`.
std::vector<Process> shims_of_namespace(const std::string& containerd_namespace);

}  // namespace thinshim::test
