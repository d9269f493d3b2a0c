// SPDX-License-Identifier: Apache-2.0
// Compiler canaries: the coroutine patterns that the shim relies upon, and some that it avoids
// because GCC 12 miscompiles them (the PR numbers are of GCC's Bugzilla). A compiler upgrade that
// breaks the first kind fails here first.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/task.h"

namespace thinshim {
namespace {

Task<int> one() { co_return 1; }
Task<long> await_many(int count) {
  long sum = 0;
  for (int i = 0; i < count; ++i) {
    int value = co_await one();
    sum += value;
  }
  co_return sum;
}

// PR 100897: with symmetric transfer this overflows the stack without optimisation or under a
// sanitizer.
TEST(Canary, AMillionReadyAwaitsNeedNoStack) {
  Loop loop;
  EXPECT_EQ(loop.run(await_many(1'000'000)), 1'000'000);
}

Task<> ping(Event& mine, Event& other, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    co_await mine.wait();
    mine.clear();
    other.set();
  }
}

TEST(Canary, TwoTasksWakeEachOtherAHundredThousandTimes) {
  Loop loop;
  Event a, b;
  TaskSet set;
  set.spawn(ping(a, b, 100'000), "a");
  set.spawn(ping(b, a, 100'000), "b");
  a.set();
  loop.run(set.wait_empty());
}

struct Counted {
  static inline int alive = 0;
  Counted() { ++alive; }
  Counted(const Counted&) { ++alive; }
  Counted(Counted&&) noexcept { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }
};

Task<int> takes([[maybe_unused]] Counted first, [[maybe_unused]] Counted second, Event& event) {
  co_await event.wait();
  co_return Counted::alive;
}
Task<> passes_named(Event& event) {
  Counted first, second;
  Task<int> call = takes(first, std::move(second), event);
  int alive = co_await std::move(call);
  EXPECT_GE(alive, 4)
      << "ours and the parameters";  // compilers destroy parameters at different times
}

// PR 98401, 99576: temporaries with destructors inside an await; the rule is to name them.
TEST(Canary, NamedArgumentsAreDestroyedOnce) {
  Loop loop;
  Event event;
  {
    TaskSet set;
    set.spawn(passes_named(event), "named");
    event.set();
    loop.run(set.wait_empty());
  }
  EXPECT_EQ(Counted::alive, 0);
}

Task<std::string> throwing(bool fail) {
  std::string local(100, 'x');
  if (fail) throw std::runtime_error("failed");
  co_return local;
}
Task<int> recover() {
  int failures = 0;
  for (int i = 0; i < 4; ++i) {
    std::exception_ptr failure;
    try {
      Task<std::string> call = throwing(i % 2 == 0);
      std::string text = co_await std::move(call);
      EXPECT_EQ(text.size(), 100u);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) ++failures;
  }
  co_return failures;
}

TEST(Canary, ExceptionsLeaveAnAwaitInsideTry) {
  Loop loop;
  EXPECT_EQ(loop.run(recover()), 2);
}

template <class T>
Task<std::vector<T>> collect(std::vector<Task<T>> tasks) {
  std::vector<T> results;
  for (Task<T>& task : tasks) {
    T result = co_await std::move(task);
    results.push_back(std::move(result));
  }
  co_return results;
}
Task<std::unique_ptr<int>> boxed(int value) { co_return std::make_unique<int>(value); }

TEST(Canary, TasksLiveInContainers) {
  Loop loop;
  std::vector<Task<std::unique_ptr<int>>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(boxed(i));
  auto results = loop.run(collect(std::move(tasks)));
  EXPECT_EQ(*results[9], 9);
}

class Service {
 public:
  explicit Service(int base) : base_(base) {}
  Task<int> add(int value) {
    co_await event_.wait();
    co_return base_ + value;
  }
  void open() { event_.set(); }

 private:
  int base_;
  Event event_;
};
template <class Object>
Task<> call_member(Object& object, Task<int> (Object::*method)(int), int value, int& result) {
  Task<int> call = (object.*method)(value);
  result = co_await std::move(call);
}

TEST(Canary, MemberCoroutinesAreCalledThroughPointers) {
  Loop loop;
  Service service(40);
  int result = 0;
  TaskSet set;
  set.spawn(call_member(service, &Service::add, 2, result), "call");
  service.open();
  loop.run(set.wait_empty());
  EXPECT_EQ(result, 42);
}

Task<int> nested(int depth, Event& event) {
  if (depth == 0) {
    co_await event.wait();
    co_return 0;
  }
  int below = co_await nested(depth - 1, event);
  co_return below + 1;
}

TEST(Canary, DeepChainsUnwindThroughTheQueue) {
  Loop loop;
  Event event;
  struct Local {
    static Task<> run(Event& event, int& result) { result = co_await nested(1000, event); }
  };
  int result = 0;
  TaskSet set;
  set.spawn(Local::run(event, result), "deep");
  event.set();
  loop.run(set.wait_empty());
  EXPECT_EQ(result, 1000);
}

}  // namespace
}  // namespace thinshim
