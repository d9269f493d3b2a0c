// SPDX-License-Identifier: Apache-2.0
#include "async/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "async/loop.h"
#include "async/sync.h"

namespace thinshim {
namespace {

// Counts live objects (the idea of capnproto's Counter probe).
struct Census {
  int alive = 0;
  int made = 0;
};
class Probe {
 public:
  explicit Probe(Census& census) : census_(&census) { ++census_->alive, ++census_->made; }
  Probe(Probe&& other) noexcept : census_(other.census_) { ++census_->alive; }
  Probe(const Probe& other) : census_(other.census_) { ++census_->alive; }
  Probe& operator=(const Probe&) = delete;
  ~Probe() { --census_->alive; }

 private:
  Census* census_;
};

Task<int> answer() { co_return 42; }
Task<int> add(Task<int> a, Task<int> b) {
  int x = co_await std::move(a);
  int y = co_await std::move(b);
  co_return x + y;
}
Task<> break_down() {
  throw std::runtime_error("broken");
  co_return;
}

TEST(Task, DoesNothingUntilItIsAwaited) {
  struct Local {
    static Task<> set(bool& flag) {
      flag = true;
      co_return;
    }
  };
  bool ran = false;
  Task<> task = Local::set(ran);
  EXPECT_FALSE(ran);
  Loop loop;
  loop.run(std::move(task));
  EXPECT_TRUE(ran);
}

TEST(Task, ReturnsValuesThroughAwaits) {
  Loop loop;
  EXPECT_EQ(loop.run(add(answer(), answer())), 84);
}

Task<std::string> catches(Task<> inner) {
  std::string caught;
  try {
    co_await std::move(inner);
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  co_return caught;
}

TEST(Task, RethrowsExceptionsInTheAwaiter) {
  Loop loop;
  EXPECT_EQ(loop.run(catches(break_down())), "broken");
  EXPECT_THROW(loop.run(break_down()), std::runtime_error);
}

Task<std::unique_ptr<int>> move_only() { co_return std::make_unique<int>(7); }

TEST(Task, CarriesMoveOnlyResults) {
  Loop loop;
  EXPECT_EQ(*loop.run(move_only()), 7);
}

Task<> hold_while_waiting(Event& event, [[maybe_unused]] Probe parameter, Census& census) {
  Probe before(census);
  co_await event.wait();
  Probe after(census);
  co_await event.wait();
}
Task<> outer_of(Event& event, Census& census) {
  Probe own(census);
  Probe given(census);
  co_await hold_while_waiting(event, given, census);
}

TEST(Task, DestroyingItWhileItWaitsDestroysEveryFrame) {
  Census census;
  Event event;
  {
    TaskSet set;
    set.spawn(outer_of(event, census), "outer");
    EXPECT_GE(census.alive, 4);  // own, given, the parameter, before, and g++'s argument
  }
  EXPECT_EQ(census.alive, 0);
  event.set();  // the waiter was destroyed: nothing may be resumed
  EXPECT_TRUE(ready_queue.empty());
}

TEST(Task, DestroyingItUnstartedDestroysItsParameters) {
  Census census;
  Event event;
  {
    Task<> task = hold_while_waiting(event, Probe(census), census);
  }
  EXPECT_EQ(census.alive, 0);
}

TEST(Task, DestroyingItWhenItIsReadyRemovesItFromTheReadyQueue) {
  Census census;
  Event event;
  {
    TaskSet set;
    set.spawn(outer_of(event, census), "outer");
    event.set();
    EXPECT_FALSE(ready_queue.empty());
  }
  EXPECT_TRUE(ready_queue.empty());
  EXPECT_EQ(census.alive, 0);
}

TEST(Task, FinishesAllFramesWhenItEnds) {
  Census census;
  Event event;
  Loop loop;
  event.set();
  loop.run(outer_of(event, census));
  EXPECT_EQ(census.alive, 0);
  EXPECT_EQ(census.made, 4);
}

}  // namespace
}  // namespace thinshim
