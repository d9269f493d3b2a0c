// SPDX-License-Identifier: Apache-2.0
// Compiler canaries: the coroutine patterns that the shim relies upon, and some that it avoids
// because GCC 12 miscompiles them (the PR numbers are of GCC's Bugzilla). A compiler upgrade that
// breaks the first kind fails here first.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
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
  int alive = co_await takes(first, std::move(second), event);
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
  result = co_await (object.*method)(value);
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

// A task that is made in the statement that awaits it, with what its arguments need to be made:
// strings from literals and expressions, shared pointers, the object itself.
struct Speaker {
  Counted own;
  Task<std::string> say(std::string text, [[maybe_unused]] Counted counted,
                        [[maybe_unused]] std::shared_ptr<Counted> shared, Event* until) {
    if (until) co_await until->wait();
    if (text == "throw") throw std::runtime_error(text);
    co_return text + "!";
  }
};
std::shared_ptr<Speaker> make_speaker() { return std::make_shared<Speaker>(); }
Counted make_counted() { return {}; }

Task<std::string> await_in_one_line(Event* until) {
  const std::string name = "a name that is long enough for the heap";
  std::string all = co_await make_speaker()->say("a literal that is long enough for the heap",
                                                 make_counted(), nullptr, until);
  all =
      co_await make_speaker()->say(all + name, make_counted(), std::make_shared<Counted>(), until);
  try {
    co_await make_speaker()->say("throw", make_counted(), std::make_shared<Counted>(), until);
  } catch (const std::runtime_error& error) {
    all += error.what();
  }
  for (int i = 0; i < 3; ++i)
    co_await make_speaker()->say(std::to_string(i), make_counted(), nullptr, until);
  co_return co_await make_speaker()->say(name + all, make_counted(), nullptr, until);
}
Task<> keep(std::string& all, Event* until) { all = co_await await_in_one_line(until); }

TEST(Canary, ATaskMayBeMadeInTheStatementThatAwaitsIt) {
  Loop loop;
  const std::string name = "a name that is long enough for the heap";
  const std::string said = name + "a literal that is long enough for the heap!" + name + "!throw!";
  EXPECT_EQ(loop.run(await_in_one_line(nullptr)), said);
  EXPECT_EQ(Counted::alive, 0);
  Event event;
  std::string all;
  {
    TaskSet set;
    set.spawn(keep(all, &event), "awaits");
    EXPECT_GT(Counted::alive, 0);
    event.set();
    loop.run(set.wait_empty());
  }
  EXPECT_EQ(all, said);
  EXPECT_EQ(Counted::alive, 0);
  event.clear();
  {
    TaskSet cancelled;
    cancelled.spawn(keep(all, &event), "is cancelled");
    EXPECT_GT(Counted::alive, 0);
  }
  EXPECT_EQ(Counted::alive, 0);
}

}  // namespace
}  // namespace thinshim
