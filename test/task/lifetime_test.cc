// SPDX-License-Identifier: Apache-2.0
// When a shim without containers exits.
#include "task/lifetime.h"

#include <gtest/gtest.h>

#include <optional>

namespace thinshim {
namespace {

using namespace std::chrono_literals;
using Work = Lifetime::Work;

class LifetimeTest : public testing::Test {
 protected:
  ~LifetimeTest() override {
    lifetime.reset();
    EXPECT_EQ(loop.close(), 0);
  }
  void begin(Duration idle, Duration shutdown_delay, Duration expect_timeout) {
    begun = loop.now();
    lifetime.emplace(loop, Lifetime::Settings{idle, shutdown_delay, expect_timeout, [this] {
                                                ++ends;
                                                ended.set();
                                              }});
  }
  // Milliseconds from begin() to the shim's end; -1 after a timeout.
  std::int64_t end_within(Duration limit) {
    const bool comes = loop.run(wait(limit));
    return comes ? static_cast<std::int64_t>(loop.now() - begun) : -1;
  }
  Task<bool> wait(Duration limit) { co_return co_await TimedWait(loop, ended, limit); }

  Loop loop;
  Event ended;
  int ends = 0;
  std::uint64_t begun = 0;
  std::optional<Lifetime> lifetime;
};

TEST_F(LifetimeTest, EndsAfterItsIdleTimeout) {
  begin(50ms, 1h, 10ms);
  EXPECT_GE(end_within(30s), 50);
  EXPECT_EQ(ends, 1);
}

TEST_F(LifetimeTest, WaitsForTheFirstContainerHoweverShortTheIdleTimeoutIs) {
  begin(10ms, 1h, 300ms);
  EXPECT_GE(end_within(30s), 300);
}

TEST_F(LifetimeTest, EndsAtOnceOnAShutdownBeforeTheFirstContainer) {
  begin(1h, 1h, 1h);
  lifetime->request_shutdown();
  EXPECT_EQ(ends, 1);
}

TEST_F(LifetimeTest, WaitsForAnExpectedContainerHoweverShortTheIdleTimeoutIs) {
  begin(10ms, 1h, 300ms);
  end_within(20ms);
  begun = loop.now();
  lifetime->expect("c1");
  EXPECT_GE(end_within(30s), 300);
  EXPECT_EQ(ends, 1);
}

TEST_F(LifetimeTest, IsCountedFromTheLastContainer) {
  begin(50ms, 1h, 10ms);
  lifetime->expect("c1");
  lifetime->set_work(Work::containers);
  lifetime->arrived("c1");
  EXPECT_EQ(end_within(200ms), -1);
  begun = loop.now();
  lifetime->set_work(Work::undo);
  EXPECT_EQ(end_within(200ms), -1) << "it undoes something";
  begun = loop.now();
  lifetime->set_work(Work::none);
  EXPECT_GE(end_within(30s), 50);
}

TEST_F(LifetimeTest, EndsAtOnceOnAShutdownWithoutContainers) {
  begin(1h, 1h, 1h);
  lifetime->set_work(Work::undo);
  lifetime->request_shutdown();
  EXPECT_EQ(ends, 1);
}

TEST_F(LifetimeTest, EndsTheShutdownDelayAfterTheLastContainerWhereTheShutdownCameBefore) {
  begin(1h, 50ms, 1h);
  lifetime->set_work(Work::containers);
  lifetime->request_shutdown();
  EXPECT_EQ(end_within(200ms), -1);
  begun = loop.now();
  lifetime->set_work(Work::none);
  EXPECT_GE(end_within(30s), 50);
}

TEST_F(LifetimeTest, EndsOnAShutdownWhereTheExpectedContainerDoesNotCome) {
  begin(1h, 50ms, 200ms);
  lifetime->expect("c1");
  lifetime->request_shutdown();
  EXPECT_EQ(ends, 0);
  EXPECT_GE(end_within(30s), 250);
}

// `start` was called before: the shim has waited for its container, which never came.
TEST_F(LifetimeTest, EndsLaterWhereItWasNotEndedTheFirstTime) {
  begin(20ms, 1h, 50ms);
  EXPECT_GE(end_within(30s), 20);
  lifetime->expect("c1");
  ended.clear();
  EXPECT_GE(end_within(30s), 50);
  EXPECT_EQ(ends, 2);
}

}  // namespace
}  // namespace thinshim
