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
// Timers that are due sooner fire before on_idle().
constexpr int kSoon = 1000;
// The most real time without an event.
constexpr std::int64_t kRealLimit = 60'000;
// Milliseconds between two calls of is_busy().
constexpr int kPoll = 1;

KernelHooks* hooks = nullptr;
std::int64_t passed = 0;  // nanoseconds by which time has jumped
// The clocks when the hooks were set.
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
  return hooks && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
                   clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE);
}

// epoll_wait(2) with the virtual clock.
int wait_for_events(int epoll, epoll_event* events, int most, int timeout) {
  const std::int64_t begin = real_ms();
  for (;;) {
    int ready = real_wait(epoll, events, most, 0);
    if (ready != 0 || timeout == 0) return ready;
    if (real_ms() - begin > kRealLimit) hooks->on_stuck();
    if (hooks->is_busy()) {
      ready = real_wait(epoll, events, most, kPoll);
      if (ready != 0) return ready;
      continue;
    }
    // What was under way may have made a descriptor ready after the first wait, then ended.
    ready = real_wait(epoll, events, most, 0);
    if (ready != 0) return ready;
    const bool soon = timeout > 0 && timeout < kSoon;
    if (!soon && hooks->on_idle()) continue;
    if (timeout > 0) {
      passed += timeout * (kNanos / 1000);
      return 0;
    }
    if (real_wait(epoll, events, most, kPoll) > 0) continue;  // the loop has no timer
  }
}

}  // namespace

void set_kernel_hooks(KernelHooks* now) {
  hooks = nullptr;
  if (now) passed = 0;
  real_clock(CLOCK_MONOTONIC, &monotonic_begin);
  real_clock(CLOCK_REALTIME, &wall_begin);
  hooks = now;
}

std::int64_t virtual_ms() { return passed / (kNanos / 1000); }

std::int64_t real_ms() {
  timespec now{};
  real_clock(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

int real_kill(pid_t pid, int signal) { return static_cast<int>(::syscall(SYS_kill, pid, signal)); }

}  // namespace thinshim::orders

// These replace libc's.
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
  return hooks ? wait_for_events(epoll, events, most, timeout)
               : real_wait(epoll, events, most, timeout);
}

// libuv passes no mask.
int epoll_pwait(int epoll, epoll_event* events, int most, int timeout, const sigset_t*) {
  return epoll_wait(epoll, events, most, timeout);
}

int kill(pid_t pid, int signal) noexcept {
  using namespace thinshim::orders;
  return hooks ? hooks->kill(pid, signal) : real_kill(pid, signal);
}

}  // extern "C"
