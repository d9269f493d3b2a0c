// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace thinshim::test {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::milliseconds;

// A factor for timeouts on slow (emulated) machines: $THINSHIM_TEST_SLOWNESS.
inline int slowness() {
  const char* times = std::getenv("THINSHIM_TEST_SLOWNESS");
  return times == nullptr ? 1 : std::max(1, std::atoi(times));
}

// The timeout for events that normally take milliseconds. Only failing tests reach it.
inline const Duration kTestTimeout = std::chrono::seconds(30) * slowness();

inline Duration time_left(Clock::time_point end) {
  return std::max(Duration(0), std::chrono::duration_cast<Duration>(end - Clock::now()));
}

// Polls until the condition is true, or until the timeout; returns its last value. For states
// without a file descriptor to wait for: the output of `ctr`, directories, /proc.
template <class Condition>
bool eventually(Condition condition, Duration limit = kTestTimeout) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= end) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace thinshim::test
