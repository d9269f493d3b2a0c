// SPDX-License-Identifier: Apache-2.0
// A security module that refuses this program's signals, as AppArmor and SELinux may: kill(2) of
// the named processes fails with EPERM as long as one of these is there. Where it is linked in, the
// program's kill() is its own.
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

// Past all that.
void kill_for_sure(pid_t process);

}  // namespace thinshim::test
