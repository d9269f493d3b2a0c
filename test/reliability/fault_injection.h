// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/end_to_end.h"

namespace thinshim::test {

// A system call of a shim that is to fail: the nth of its name (fault_calls.h) in processes of one
// role, and the errno. The roles:
//
//   start     the action, until it exits         server    the server
//   delete    the action                         helper    forks that mount, unmount, remove
//   log-file  writes a log file                  launch    the child, until it calls execve(2)
//
// and `delete-helper` and `delete-launch` of that action. Calls of libc before main() are in none.
struct Fault {
  std::string role;
  std::string call;
  long nth = 1;
  int errnum = 0;

  // "server openat 3 ENOMEM"
  std::string in_words() const;
};

// One traced life of a shim, or one `delete`.
class Injection {
 public:
  // `report` is the path of a new file.
  explicit Injection(std::filesystem::path report, std::optional<Fault> fault = std::nullopt);

  // The command line that replaces the shim's own.
  Words around(const Words& command) const;

  // The number of each call, by role and name.
  using Counts = std::map<std::pair<std::string, std::string>, long>;
  struct Report {
    Counts counts;
    // The call that failed, with its arguments as far as known; empty if it was not made.
    std::string injected;
    // The role of a process that a signal from no process has killed.
    std::string crashed;
  };
  // Returns when the last traced process has exited; throws after a timeout.
  Report report() const;

 private:
  std::filesystem::path report_;
  std::optional<Fault> fault_;
};

}  // namespace thinshim::test
