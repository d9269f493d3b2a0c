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

// A system call of a shim that is to fail: the nth of its name (fault_calls.h) among those of one
// role, and how. The roles:
//
//   start     the action, until it ends          server    what serves
//   delete    the action                         helper    forks that mount, unmount, remove
//   log-file  what keeps a log file              launch    what becomes a runtime, until it is one
//
// and `delete-helper` and `delete-launch`, of that action. What libc does before main() is in none.
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
  // `report` is a file to be made.
  explicit Injection(std::filesystem::path report, std::optional<Fault> fault = std::nullopt);

  // The command line in place of the shim's own.
  Words around(const Words& command) const;

  // How often each call was made, by role and name.
  using Counts = std::map<std::pair<std::string, std::string>, long>;
  struct Report {
    Counts counts;
    // The call that failed, with what can be told of its arguments; empty where it was not made.
    std::string injected;
    // The role of a process that ended by a signal which nobody sent.
    std::string crashed;
  };
  // Once the last of the traced processes has ended; throws where that takes too long.
  Report report() const;

 private:
  std::filesystem::path report_;
  std::optional<Fault> fault_;
};

}  // namespace thinshim::test
