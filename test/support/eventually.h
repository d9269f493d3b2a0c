// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace thinshim::test {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::milliseconds;

// How many times slower than others this machine is; an emulated one says so by
// $THINSHIM_TEST_SLOWNESS.
inline int slowness() {
  const char* times = std::getenv("THINSHIM_TEST_SLOWNESS");
  return times == nullptr ? 1 : std::max(1, std::atoi(times));
}

// How long a test waits for what normally takes milliseconds. Only a failing test waits this long,
// so it is generous.
inline const Duration kPatience = std::chrono::seconds(30) * slowness();

inline Duration time_left(Clock::time_point end) {
  return std::max(Duration(0), std::chrono::duration_cast<Duration>(end - Clock::now()));
}

// Asks until the answer is yes or the time is over; returns the last answer. For states that no
// file descriptor announces: what `ctr` prints, directories, the content of /proc.
template <class Condition>
bool eventually(Condition condition, Duration limit = kPatience) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= end) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace thinshim::test
