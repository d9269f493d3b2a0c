// SPDX-License-Identifier: Apache-2.0
// Synchronisation between coroutines (Event, Mutex), and the owner of background tasks (TaskSet).
#pragma once

#include <algorithm>
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

// A flag that coroutines wait for. set() resumes all waiters.
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
  // `co_await event.wait()` returns once the event was set, even if it was cleared before the
  // waiter was resumed.
  Waiting wait() { return Waiting(*this); }

 private:
  friend class TimedWait;
  bool set_ = false;
  WakeupList waiters_;
};

// Sets `to` once `from` is set. The task must not outlive either.
Task<> propagate(Event& from, Event& to);

// A wakeup that sets an event instead of resuming a coroutine.
struct EventWakeup final : Wakeup {
  Event event;
  void run() override { event.set(); }
};

// A fair mutex: unlocking passes it to the coroutine that has waited longest, and no other can lock
// it in between. It must outlive its guards and waiters.
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
    explicit Locking(Mutex& mutex) : waiter_(mutex) {}
    bool await_ready() {
      if (waiter_.mutex.locked_) return false;
      waiter_.mutex.locked_ = true;
      waiter_.owns_lock = true;
      return true;
    }
    void await_suspend(std::coroutine_handle<> frame) {
      waiter_.frame = frame;
      waiter_.mutex.waiting_.push(waiter_);
    }
    Guard await_resume() {
      waiter_.owns_lock = false;
      return Guard(waiter_.mutex);
    }

   private:
    friend class Mutex;
    struct Waiter final : Wakeup {
      explicit Waiter(Mutex& owner) : mutex(owner) {}
      ~Waiter() override {
        if (owns_lock) mutex.unlock();  // cancelled between unlock() and await_resume()
      }
      void run() override { frame.resume(); }
      Mutex& mutex;
      std::coroutine_handle<> frame;
      bool owns_lock = false;
    };
    Waiter waiter_;
  };
  // `Mutex::Guard guard = co_await mutex.lock();`
  Locking lock() { return Locking(*this); }
  bool locked() const { return locked_; }

 private:
  void unlock() {
    Wakeup* next = waiting_.pop();
    locked_ = next != nullptr;
    if (!next) return;
    static_cast<Locking::Waiter*>(next)->owns_lock = true;
    next->post();
  }
  bool locked_ = false;
  WakeupList waiting_;
};

// Owns background tasks. Destroying the set cancels all of them. The exception of a task that fails
// is logged. Declare a TaskSet as the last member, so that its tasks are destroyed first.
class TaskSet {
 public:
  TaskSet() = default;
  TaskSet(const TaskSet&) = delete;
  TaskSet& operator=(const TaskSet&) = delete;

  // Runs the task up to its first wait, then returns. `what` is the log message if it fails.
  void spawn(Task<> task, std::string what);
  // Whether all tasks have finished or were cancelled: one that has finished no longer counts,
  // though it is freed later. So `if (set.empty()) set.spawn(...)` loses no work.
  bool empty() const {
    return std::ranges::all_of(members_, [](const Member& one) { return one.task.finished(); });
  }
  std::size_t size() const { return members_.size(); }
  // Returns once all tasks have finished or were cancelled.
  Task<> wait_empty();
  // Cancels all tasks. Must not be called by one of them.
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

// Runs `work` in `owner` and waits for its result. Cancelling the wait does not cancel the work: an
// operation that must not stop half way (create, delete) runs to its end even if its request was
// cancelled. `on_cancel` is called if the wait is cancelled before the work has finished.
template <class T>
Task<T> run_to_completion(TaskSet& owner, Task<T> work, std::string what,
                          std::function<void()> on_cancel = {});

namespace internal {

template <class T>
struct Completion {
  Event done;
  std::exception_ptr failure;
  std::conditional_t<std::is_void_v<T>, bool, std::optional<T>> result{};
};

// Logs the failure of work whose caller was cancelled.
void log_failure(const std::string& what, std::exception_ptr failure);

// Calls `on_cancel` if it is destroyed before `done` is set.
class CancelGuard {
 public:
  CancelGuard(const Event& done, std::function<void()> on_cancel)
      : done_(done), on_cancel_(std::move(on_cancel)) {}
  ~CancelGuard() {
    if (!done_.is_set() && on_cancel_) on_cancel_();
  }
  CancelGuard(const CancelGuard&) = delete;
  CancelGuard& operator=(const CancelGuard&) = delete;

 private:
  const Event& done_;
  std::function<void()> on_cancel_;
};

template <class T>
Task<> run_and_store(Task<T> work, std::shared_ptr<Completion<T>> completion, std::string what) {
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
  if (completion->failure && completion.use_count() == 1) log_failure(what, completion->failure);
}

}  // namespace internal

template <class T>
Task<T> run_to_completion(TaskSet& owner, Task<T> work, std::string what,
                          std::function<void()> on_cancel) {
  auto completion = std::make_shared<internal::Completion<T>>();
  internal::CancelGuard guard(completion->done, std::move(on_cancel));
  Task<> running = internal::run_and_store(std::move(work), completion, what);
  owner.spawn(std::move(running), std::move(what));
  co_await completion->done.wait();
  if (completion->failure) std::rethrow_exception(completion->failure);
  if constexpr (!std::is_void_v<T>) co_return std::move(*completion->result);
}

}  // namespace thinshim
