// SPDX-License-Identifier: Apache-2.0
#include "async/sync.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

Task<> note_after(Event& event, std::vector<int>& order, int number) {
  co_await event.wait();
  order.push_back(number);
}

TEST(Event, WakesAllWaitersInTheOrderTheyCame) {
  Loop loop;
  Event event;
  std::vector<int> order;
  TaskSet set;
  for (int i = 0; i < 3; ++i) set.spawn(note_after(event, order, i), "note");
  event.set();
  EXPECT_TRUE(order.empty()) << "set() must not run the waiters itself";
  loop.run(set.wait_empty());
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
}

TEST(Event, DoesNotSuspendIfItIsSet) {
  Loop loop;
  Event event;
  event.set();
  std::vector<int> order;
  loop.run(note_after(event, order, 1));
  EXPECT_EQ(order.size(), 1u);
}

TEST(TimedWait, ReportsWhetherTheEventCameInTime) {
  struct Local {
    static Task<bool> wait(Loop& loop, Event& event, Duration limit) {
      bool came = co_await TimedWait(loop, event, limit);
      co_return came;
    }
    static Task<> set_later(Loop& loop, Event& event) {
      co_await sleep(loop, 5ms);
      event.set();
    }
  };
  Loop loop;
  Event never;
  EXPECT_FALSE(loop.run(Local::wait(loop, never, 10ms)));
  Event soon;
  TaskSet set;
  set.spawn(Local::set_later(loop, soon), "set");
  EXPECT_TRUE(loop.run(Local::wait(loop, soon, 10s)));
  loop.run(set.wait_empty());
}

Task<> fail() {
  throw std::runtime_error("broken");
  co_return;
}

TEST(TaskSet, OutlivesTheFailureOfAMember) {
  Loop loop;
  TaskSet set;
  Event event;
  std::vector<int> order;
  set.spawn(note_after(event, order, 1), "note");
  set.spawn(fail(), "fail");
  EXPECT_EQ(set.size(), 1u);
  event.set();
  loop.run(set.wait_empty());
  EXPECT_EQ(order.size(), 1u);
}

Task<> spawn_into(TaskSet& set, Event& event, std::vector<int>& order, int depth) {
  if (depth > 0) set.spawn(spawn_into(set, event, order, depth - 1), "child");
  co_await event.wait();
  order.push_back(depth);
}

TEST(TaskSet, MembersMaySpawnMembers) {
  Loop loop;
  TaskSet set;
  Event event;
  std::vector<int> order;
  set.spawn(spawn_into(set, event, order, 3), "root");
  EXPECT_EQ(set.size(), 4u);
  event.set();
  loop.run(set.wait_empty());
  EXPECT_EQ(order.size(), 4u);
}

TEST(TaskSet, CancelEndsEveryMember) {
  TaskSet set;
  Event event;
  std::vector<int> order;
  set.spawn(note_after(event, order, 1), "note");
  set.spawn(note_after(event, order, 2), "note");
  set.cancel();
  EXPECT_TRUE(set.empty());
  event.set();
  EXPECT_TRUE(ready_queue.empty());
}

Task<> note_empty_after(Event& event, const TaskSet& set, bool& empty) {
  co_await event.wait();
  empty = set.empty();
}

// Its frame is freed later. Who asks in between must not take it for one that still works.
TEST(TaskSet, IsEmptyOnceItsTasksHaveFinished) {
  Loop loop;
  TaskSet set, asking;
  Event event;
  std::vector<int> order;
  bool empty = false;
  set.spawn(note_after(event, order, 1), "note");
  asking.spawn(note_empty_after(event, set, empty), "ask");
  EXPECT_FALSE(set.empty());
  event.set();
  loop.run(asking.wait_empty());
  EXPECT_TRUE(empty);
}

TEST(TaskSet, CancelEndsWaitEmpty) {
  Loop loop;
  TaskSet set, waiting;
  Event event;
  std::vector<int> order;
  set.spawn(note_after(event, order, 1), "note");
  waiting.spawn(set.wait_empty(), "wait");
  set.cancel();
  ASSERT_FALSE(ready_queue.empty()) << "the waiter was not posted";
  loop.run(waiting.wait_empty());
}

Task<int> finish_after(Event& event, int& finished, int result) {
  co_await event.wait();
  ++finished;
  if (result < 0) throw std::runtime_error("broken");
  co_return result;
}
Task<> store(Task<int> work, int& result) { result = co_await std::move(work); }

TEST(RunToCompletion, ReturnsTheResultToItsCaller) {
  Loop loop;
  TaskSet owner, callers;
  Event event;
  int finished = 0, result = 0;
  callers.spawn(store(run_to_completion(owner, finish_after(event, finished, 7), "work"), result),
                "call");
  event.set();
  loop.run(callers.wait_empty());
  EXPECT_EQ(result, 7);
}

TEST(RunToCompletion, GoesOnWhenItsCallerIsCancelled) {
  Loop loop;
  TaskSet owner, callers;
  Event event;
  int finished = 0, result = 0;
  callers.spawn(store(run_to_completion(owner, finish_after(event, finished, 7), "work"), result),
                "call");
  callers.cancel();
  event.set();
  loop.run(owner.wait_empty());
  EXPECT_EQ(finished, 1);
  EXPECT_EQ(result, 0);
}

TEST(RunToCompletion, LogsAFailureWhenItsCallerWasCancelled) {
  Loop loop;
  Pipe log = make_pipe(O_NONBLOCK);
  log::set_sink(std::move(log.write));
  TaskSet owner, callers;
  Event event;
  int finished = 0, result = 0;
  callers.spawn(store(run_to_completion(owner, finish_after(event, finished, -1), "work"), result),
                "call");
  callers.cancel();
  event.set();
  loop.run(owner.wait_empty());
  log::set_sink(Fd());
  EXPECT_NE(
      read_all(log.read.get(), 4096, "log").find("work failed after its caller was cancelled"),
      std::string::npos);
}

Task<> enter(Mutex& mutex, std::vector<int>& order, int number, Event& leave) {
  Mutex::Guard guard = co_await mutex.lock();
  order.push_back(number);
  co_await leave.wait();
}

TEST(Mutex, IsLockedByOneAtATimeInOrder) {
  Loop loop;
  Mutex mutex;
  std::vector<int> order;
  Event leave[3];
  TaskSet set;
  for (int i = 0; i < 3; ++i) set.spawn(enter(mutex, order, i, leave[i]), "enter");
  EXPECT_EQ(order, (std::vector{0}));
  leave[1].set();
  leave[2].set();
  leave[0].set();
  loop.run(set.wait_empty());
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_FALSE(mutex.locked());
}

TEST(Mutex, CannotBeLockedAheadOfTheNextWaiter) {
  Loop loop;
  Mutex mutex;
  std::vector<int> order;
  Event leave;
  TaskSet set;
  {
    TaskSet first;
    first.spawn(enter(mutex, order, 0, leave), "first");
    set.spawn(enter(mutex, order, 1, leave), "second");
  }  // the first has unlocked it, the second has not been resumed yet
  set.spawn(enter(mutex, order, 2, leave), "newcomer");
  leave.set();
  loop.run(set.wait_empty());
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_FALSE(mutex.locked());
}

TEST(Mutex, SkipsAWaiterThatIsCancelled) {
  Loop loop;
  Mutex mutex;
  std::vector<int> order;
  Event leave;
  TaskSet first, second, third;
  first.spawn(enter(mutex, order, 0, leave), "first");
  second.spawn(enter(mutex, order, 1, leave), "second");
  third.spawn(enter(mutex, order, 2, leave), "third");
  second.cancel();
  leave.set();
  loop.run(first.wait_empty());
  loop.run(third.wait_empty());
  EXPECT_EQ(order, (std::vector{0, 2}));
}

TEST(Mutex, SkipsANextWaiterThatIsCancelled) {
  Loop loop;
  Mutex mutex;
  std::vector<int> order;
  Event leave;
  TaskSet second, third;
  {
    TaskSet first;
    first.spawn(enter(mutex, order, 0, leave), "first");
    second.spawn(enter(mutex, order, 1, leave), "second");
    third.spawn(enter(mutex, order, 2, leave), "third");
  }  // the first has unlocked it, the second has not been resumed yet
  second.cancel();
  EXPECT_TRUE(mutex.locked());
  leave.set();
  loop.run(third.wait_empty());
  EXPECT_EQ(order, (std::vector{0, 2}));
  EXPECT_FALSE(mutex.locked());
}

}  // namespace
}  // namespace thinshim
