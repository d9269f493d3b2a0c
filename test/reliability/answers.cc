// SPDX-License-Identifier: Apache-2.0
#include "reliability/answers.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "reliability/scale.h"

namespace thinshim::test {
namespace {

using namespace std::chrono_literals;

constexpr Duration kGlance = 10ms;
constexpr Duration kStall = 100ms;  // the longest wait for the processor on a busy machine

}  // namespace

Answers::~Answers() {
  done_ = true;
  watch_.join();
}

void Answers::look_at_the_clock() {
  while (!done_) {
    const auto due = Clock::now() + kGlance;
    std::this_thread::sleep_until(due);
    const auto now = Clock::now();
    if (now < due + kStall) continue;
    const std::lock_guard lock(mutex_);
    stalls_.emplace_back(due, now);
  }
}

void Answers::note(const std::string& call, Clock::time_point begin, Clock::time_point end) {
  Milliseconds took = end - begin;
  if (took > kStall) {
    std::this_thread::sleep_for(2 * kGlance);  // until the last stall is known
    const std::lock_guard lock(mutex_);
    for (const auto& [from, to] : stalls_)
      took -= std::max(Milliseconds(0), Milliseconds(std::min(to, end) - std::max(from, begin)));
  }
  if (took <= slowest_) return;
  slowest_ = took;
  slowest_call_ = call;
}

void Answers::report(const std::string& while_what) const {
  figure("slowest answer (" + slowest_call_ + ") while " + while_what + ", ms", slowest_.count());
  EXPECT_LT(slowest_.count(), 1000 * slowness()) << slowest_call_ << " while " << while_what;
}

}  // namespace thinshim::test
