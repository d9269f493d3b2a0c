// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/eventually.h"

namespace thinshim::test {

// How long a shim takes to answer, less the time in which the test itself was stalled: if the
// machine runs something else for a second, that says nothing of the shim. A thread reads the clock
// all the time to find the stalls.
class Answers {
 public:
  using Milliseconds = std::chrono::duration<double, std::milli>;

  Answers() : watch_([this] { look_at_the_clock(); }) {}
  ~Answers();
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  // Calls it, and records how long that took.
  template <class Work>
  auto time(const std::string& call, Work work) {
    const Timer timer{*this, call, Clock::now()};
    return work();
  }

  // Prints the slowest of them, and fails the test if that is not "at once".
  void report(const std::string& while_what) const;

 private:
  struct Timer {
    ~Timer() { answers.note(call, begin, Clock::now()); }
    Answers& answers;
    const std::string& call;
    Clock::time_point begin;
  };
  void note(const std::string& call, Clock::time_point begin, Clock::time_point end);
  void look_at_the_clock();

  Milliseconds slowest_{0};
  std::string slowest_call_ = "none";
  std::mutex mutex_;
  std::vector<std::pair<Clock::time_point, Clock::time_point>> stalls_;  // guarded by mutex_
  std::atomic<bool> done_ = false;
  std::thread watch_;
};

}  // namespace thinshim::test
