// SPDX-License-Identifier: Apache-2.0
#include "support/refused_signals.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace {

std::set<pid_t> refused;
int refusals = 0;

}  // namespace

extern "C" int kill(pid_t process, int signal) noexcept {
  if (signal != 0 && refused.count(process) != 0) {
    ++refusals;
    errno = EPERM;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_kill, process, signal));
}

namespace thinshim::test {

RefusedSignals::RefusedSignals(std::set<pid_t> processes) {
  refused = std::move(processes);
  refusals = 0;
}
RefusedSignals::~RefusedSignals() { refused.clear(); }
int RefusedSignals::count() const { return refusals; }

void kill_for_sure(pid_t process) { ::syscall(SYS_kill, process, SIGKILL); }

}  // namespace thinshim::test
