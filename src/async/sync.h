// SPDX-License-Identifier: Apache-2.0
// What coroutines wait for among themselves, and who owns those that nobody awaits: Event,
// Queue<T>, TaskSet.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <list>
#include <string>
#include <utility>

#include "async/task.h"
#include "async/wakeup.h"

namespace thinshim {

// A flag to wait for. Any number may wait; all go on once it is set.
class Event {
 public:
  bool is_set() const { return set_; }
  void set() {
    set_ = true;
    waiters_.post_all();
  }
  void clear() { set_ = false; }

  class Waiting {
   public:
    explicit Waiting(Event& event) : event_(event) {}
    bool await_ready() const { return event_.is_set(); }
    void await_suspend(std::coroutine_handle<> frame) {
      wakeup_.frame = frame;
      event_.waiters_.push(wakeup_);
    }
    void await_resume() const {}

   private:
    Event& event_;
    CoroutineWakeup wakeup_;
  };
  // `co_await event.wait()` returns once the event was set, even if it was cleared since.
  Waiting wait() { return Waiting(*this); }

 private:
  friend class TimedWait;
  bool set_ = false;
  WakeupList waiters_;
};

// Sets an event where others resume a coroutine.
struct EventWakeup final : Wakeup {
  Event event;
  void run() override { event.set(); }
};

// First in, first out; one or more may wait in pop().
template <class T>
class Queue {
 public:
  bool empty() const { return items_.empty(); }
  std::size_t size() const { return items_.size(); }
  void push(T item) {
    items_.push_back(std::move(item));
    filled_.set();
  }
  Task<T> pop() {
    while (items_.empty()) {
      filled_.clear();
      co_await filled_.wait();
    }
    T item = std::move(items_.front());
    items_.pop_front();
    co_return item;
  }

 private:
  std::deque<T> items_;
  Event filled_;
};

// Owns tasks that run beside their owner. Destroying the set cancels all of them; a task that fails
// is reported to the log under its name, for nobody else hears of it. Declare a TaskSet as the last
// member, so that its tasks go first.
class TaskSet {
 public:
  TaskSet() = default;
  TaskSet(const TaskSet&) = delete;
  TaskSet& operator=(const TaskSet&) = delete;

  // Runs the task up to its first wait before it returns. `what` names it where it fails: "what:
  // reason".
  void spawn(Task<> task, std::string what);
  bool empty() const { return members_.empty(); }
  std::size_t size() const { return members_.size(); }
  // Waits until no task is left.
  Task<> wait_empty();
  // Cancels all tasks. Not to be called from one of them.
  void cancel() { members_.clear(); }

 private:
  struct Member final : Wakeup {
    Member(TaskSet& owner, Task<> work, std::string name)
        : set(owner), task(std::move(work)), what(std::move(name)) {}
    void run() override { set.remove(position); }
    TaskSet& set;
    Task<> task;
    std::string what;
    std::list<Member>::iterator position;
  };
  void remove(std::list<Member>::iterator position);

  Event emptied_;
  std::list<Member> members_;
};

}  // namespace thinshim
