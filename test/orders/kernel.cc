// SPDX-License-Identifier: Apache-2.0
#include "orders/kernel.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace thinshim::orders {
namespace {

constexpr std::int64_t kNanos = 1'000'000'000;
// Timers that are due sooner are part of what is under way.
constexpr int kSoon = 1000;
// What needs real time has this much of it, on any machine.
constexpr std::int64_t kRealLimit = 60'000;
// How often to look at what no descriptor announces.
constexpr int kLook = 1;

Judge* judge = nullptr;
std::int64_t passed = 0;  // nanoseconds by which time has jumped
// Where the clocks stood when the judge came.
timespec monotonic_begin{};
timespec wall_begin{};

int real_clock(clockid_t clock, timespec* time) {
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
}

int real_wait(int epoll, epoll_event* events, int most, int timeout) {
  return static_cast<int>(::syscall(SYS_epoll_pwait, epoll, events, most, timeout, nullptr, 8));
}

timespec later(timespec time) {
  const std::int64_t nanos = time.tv_nsec + passed;
  return {time.tv_sec + nanos / kNanos, nanos % kNanos};
}

bool stands_still(clockid_t clock) {
  return judge && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                   clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE);
}

// What is ready, or 0 at the end of the time.
int wait_for_events(int epoll, epoll_event* events, int most, int timeout) {
  const std::int64_t begin = real_ms();
  for (;;) {
    int ready = real_wait(epoll, events, most, 0);
    if (ready != 0 || timeout == 0) return ready;
    if (real_ms() - begin > kRealLimit) judge->give_up();
    if (judge->is_busy()) {
      ready = real_wait(epoll, events, most, kLook);
      if (ready != 0) return ready;
      continue;
    }
    // What was under way may have ended since the first look, and told so before it did.
    ready = real_wait(epoll, events, most, 0);
    if (ready != 0) return ready;
    const bool soon = timeout > 0 && timeout < kSoon;
    if (!soon && judge->is_still()) continue;
    if (timeout > 0) {
      passed += timeout * (kNanos / 1000);
      return 0;
    }
    if (real_wait(epoll, events, most, kLook) > 0) continue;  // nobody waits for anything
  }
}

}  // namespace

void set_judge(Judge* now) {
  judge = nullptr;
  if (now) passed = 0;
  real_clock(CLOCK_MONOTONIC, &monotonic_begin);
  real_clock(CLOCK_REALTIME, &wall_begin);
  judge = now;
}

std::int64_t virtual_ms() { return passed / (kNanos / 1000); }

std::int64_t real_ms() {
  timespec now{};
  real_clock(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

int real_kill(pid_t pid, int signal) { return static_cast<int>(::syscall(SYS_kill, pid, signal)); }

}  // namespace thinshim::orders

// In place of libc's.
extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  using namespace thinshim::orders;
  if (!stands_still(clock)) return real_clock(clock, time);
  const bool is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  *time = later(is_wall ? wall_begin : monotonic_begin);
  return 0;
}

int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  using namespace thinshim::orders;
  return judge ? wait_for_events(epoll, events, most, timeout)
               : real_wait(epoll, events, most, timeout);
}

// The loop waits without a mask.
int epoll_pwait(int epoll, epoll_event* events, int most, int timeout, const sigset_t*) {
  return epoll_wait(epoll, events, most, timeout);
}

int kill(pid_t pid, int signal) noexcept {
  using namespace thinshim::orders;
  return judge ? judge->kill(pid, signal) : real_kill(pid, signal);
}

}  // extern "C"
