// SPDX-License-Identifier: Apache-2.0
// Simulates a security module that refuses signals, as AppArmor and SELinux may: while an object
// exists, kill(2) of its processes fails with EPERM. Linking it replaces the program's kill().
#pragma once

#include <sys/types.h>

#include <set>

namespace thinshim::test {

class RefusedSignals {
 public:
  explicit RefusedSignals(std::set<pid_t> processes);
  ~RefusedSignals();
  RefusedSignals(const RefusedSignals&) = delete;
  RefusedSignals& operator=(const RefusedSignals&) = delete;

  // How many signals were refused so far.
  int count() const;
};

// Sends SIGKILL nevertheless.
void kill_for_sure(pid_t process);

}  // namespace thinshim::test
