// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace thinshim::test {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::milliseconds;

// How long a test waits for what normally takes milliseconds. Only a failing test waits this long,
// so it is generous: emulated machines are ten times slower.
inline constexpr Duration kPatience = std::chrono::seconds(30);

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
