// SPDX-License-Identifier: Apache-2.0
// What coroutines wait for among themselves (Event, Mutex), and who owns those that nobody
// awaits (TaskSet).
#pragma once

#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <optional>
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

// Sets the second event once the first is set. For a TaskSet that ends before either does.
Task<> set_with(Event& first, Event& second);

// Sets an event where others resume a coroutine.
struct EventWakeup final : Wakeup {
  Event event;
  void run() override { event.set(); }
};

// One at a time, in the order in which they came: who leaves hands it to the one that has waited
// longest, and nobody can come in between. It outlives whoever holds it or waits for it.
class Mutex {
 public:
  class Guard {
   public:
    explicit Guard(Mutex& mutex) : mutex_(&mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (mutex_) mutex_->unlock();
    }

   private:
    Mutex* mutex_;
  };

  class Locking {
   public:
    explicit Locking(Mutex& mutex) : turn_(mutex) {}
    bool await_ready() {
      if (turn_.mutex.locked_) return false;
      turn_.mutex.locked_ = true;
      turn_.mine = true;
      return true;
    }
    void await_suspend(std::coroutine_handle<> frame) {
      turn_.frame = frame;
      turn_.mutex.waiting_.push(turn_);
    }
    Guard await_resume() {
      turn_.mine = false;
      return Guard(turn_.mutex);
    }

   private:
    friend class Mutex;
    struct Turn final : Wakeup {
      explicit Turn(Mutex& owner) : mutex(owner) {}
      ~Turn() override {
        if (mine) mutex.unlock();  // cancelled when it had come, but before it was taken
      }
      void run() override { frame.resume(); }
      Mutex& mutex;
      std::coroutine_handle<> frame;
      bool mine = false;
    };
    Turn turn_;
  };
  // `Mutex::Guard guard = co_await mutex.lock();`
  Locking lock() { return Locking(*this); }
  bool locked() const { return locked_; }

 private:
  void unlock() {
    Wakeup* next = waiting_.pop();
    locked_ = next != nullptr;
    if (!next) return;
    static_cast<Locking::Turn*>(next)->mine = true;
    next->post();
  }
  bool locked_ = false;
  WakeupList waiting_;
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
  void cancel() {
    members_.clear();
    emptied_.set();
  }

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

// Runs `work` in `owner` and waits for its result. Whoever stops waiting does not stop the work:
// what must not end half way (making a container, deleting one) runs to its end although the
// request that asked for it is gone. `abandoned` is called where the waiting ended first.
template <class T>
Task<T> complete(TaskSet& owner, Task<T> work, std::string what,
                 std::function<void()> abandoned = {});

namespace internal {

template <class T>
struct Completion {
  Event done;
  std::exception_ptr failure;
  std::conditional_t<std::is_void_v<T>, bool, std::optional<T>> result{};
};

// Tells the log why work failed that nobody waits for any more.
void report_unheard(const std::string& what, std::exception_ptr failure);

// Somebody's waiting for `done`; calls `abandoned` where it ends before.
class Waiting {
 public:
  Waiting(const Event& done, std::function<void()> abandoned)
      : done_(done), abandoned_(std::move(abandoned)) {}
  ~Waiting() {
    if (!done_.is_set() && abandoned_) abandoned_();
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  const Event& done_;
  std::function<void()> abandoned_;
};

template <class T>
Task<> run_to_completion(Task<T> work, std::shared_ptr<Completion<T>> completion,
                         std::string what) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(work);
    } else {
      T result = co_await std::move(work);
      completion->result.emplace(std::move(result));
    }
  } catch (...) {
    completion->failure = std::current_exception();
  }
  completion->done.set();
  if (completion->failure && completion.use_count() == 1) report_unheard(what, completion->failure);
}

}  // namespace internal

template <class T>
Task<T> complete(TaskSet& owner, Task<T> work, std::string what, std::function<void()> abandoned) {
  auto completion = std::make_shared<internal::Completion<T>>();
  internal::Waiting waiting(completion->done, std::move(abandoned));
  Task<> running = internal::run_to_completion(std::move(work), completion, what);
  owner.spawn(std::move(running), std::move(what));
  co_await completion->done.wait();
  if (completion->failure) std::rethrow_exception(completion->failure);
  if constexpr (!std::is_void_v<T>) co_return std::move(*completion->result);
}

}  // namespace thinshim
