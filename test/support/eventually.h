// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <thread>

namespace thinshim::test {

using Duration = std::chrono::milliseconds;

// How long a test waits for what normally takes milliseconds. Only a failing test waits this long,
// so it is generous: emulated machines are ten times slower.
inline constexpr Duration kPatience = std::chrono::seconds(30);

// Asks until the answer is yes or the time is over; returns the last answer. For states that no
// file descriptor announces: what `ctr` prints, directories, the content of /proc.
template <class Condition>
bool eventually(Condition condition, Duration limit = kPatience) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace thinshim::test
