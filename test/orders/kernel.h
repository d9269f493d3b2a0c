// SPDX-License-Identifier: Apache-2.0
// The kernel as the service under test sees it, with a virtual clock and simulated signals.
//
// This program defines clock_gettime(2), epoll_wait(2), epoll_pwait(2) and kill(2), which libuv and
// the service call in place of libc's. While hooks are set, the monotonic and the wall clock stand
// still. When the loop would wait and the hooks report that no real program is starting or ending,
// the clocks jump to the loop's next timer. So hours of hanging take milliseconds, and an order of
// events is reproducible.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace thinshim::orders {

class KernelHooks {
 public:
  virtual ~KernelHooks() = default;
  // Whether something is under way that takes real time.
  virtual bool is_busy() = 0;
  // Called when nothing is under way and the loop would wait. Returns true if it has made a
  // descriptor ready; false lets the clock advance.
  virtual bool on_idle() = 0;
  // kill(2).
  virtual int kill(pid_t pid, int signal) = 0;
  // Called after a minute of real time without progress: prints the reason and exits.
  [[noreturn]] virtual void on_stuck() = 0;
};

// nullptr: from now on the kernel's own clock counts.
void set_kernel_hooks(KernelHooks* hooks);

// The virtual clock.
std::int64_t virtual_ms();

// The kernel's own clock and kill(2).
std::int64_t real_ms();
int real_kill(pid_t pid, int signal);

}  // namespace thinshim::orders
