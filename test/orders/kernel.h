// SPDX-License-Identifier: Apache-2.0
// The kernel as the service under test sees it: with a clock that only passes where everybody
// waits, and signals that somebody may refuse.
//
// This program has clock_gettime(2), epoll_wait(2), epoll_pwait(2) and kill(2) of its own, which
// libuv and the service call in place of libc's. As long as a Judge is there, monotonic and wall
// clock stand still; where the loop would wait, and the judge says that nothing is under way that
// takes real time (a program that starts, a process that dies), they jump to the loop's next timer.
// So an order of things with hours of hanging takes milliseconds, and happens alike each time.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace thinshim::orders {

class Judge {
 public:
  virtual ~Judge() = default;
  // Whether something is under way that needs real time.
  virtual bool is_busy() = 0;
  // Nothing is, and nobody has anything left to do but to wait. True where somebody was told, so
  // that there is something to do again; false where time may pass.
  virtual bool is_still() = 0;
  // kill(2).
  virtual int kill(pid_t pid, int signal) = 0;
  // This takes too long: says why, and ends the program.
  [[noreturn]] virtual void give_up() = 0;
};

// nullptr: from now on the kernel's own clock counts.
void set_judge(Judge* judge);

// Of the clock that the service sees.
std::int64_t virtual_ms();

// The kernel's own.
std::int64_t real_ms();
int real_kill(pid_t pid, int signal);

}  // namespace thinshim::orders
