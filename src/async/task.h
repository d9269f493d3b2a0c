// SPDX-License-Identifier: Apache-2.0
// Task<T>: a lazily started coroutine, owned by the Task object.
//
// - Nothing runs before `co_await std::move(task)`, which runs the task on the caller's stack up to
//   its first suspension. A task that finishes without suspending returns to its caller directly,
//   so awaiting a million such tasks in a row needs no more stack than one. (No symmetric transfer:
//   without optimisation GCC 12 does not guarantee tail calls, PR 100897.)
// - A task is awaited once. The co_await returns its result or throws its exception.
// - Destroying a suspended task cancels it: the locals of its frames are destroyed, innermost frame
//   first. A task must not destroy itself, neither directly nor through the object that owns it;
//   use a TaskSet or Wakeup::post() for that.
// - Single-threaded: no locks.
//
// Coroutine parameters are values, or references to objects that outlive the task. Rvalue
// references and views are refused at compile time, because they dangle after the first suspension.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "async/wakeup.h"

namespace thinshim {

template <class T = void>
class Task;

class TaskPromiseBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }

  struct Finished {
    TaskPromiseBase& promise;
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) noexcept {
      promise.finished_ = true;  // with GCC, handle.done() is true too early
      if (promise.waiter_) promise.waiter_->post();
    }
    void await_resume() noexcept {}
  };
  Finished final_suspend() noexcept { return {*this}; }
  void unhandled_exception() noexcept { failure_ = std::current_exception(); }

  bool finished() const { return finished_; }
  // `waiter` is posted when the task finishes, and must outlive the task.
  void set_waiter(Wakeup* waiter) { waiter_ = waiter; }

 protected:
  void rethrow_failure() {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  bool finished_ = false;
  Wakeup* waiter_ = nullptr;
  std::exception_ptr failure_;
};

template <class T>
class TaskPromise : public TaskPromiseBase {
 public:
  Task<T> get_return_object();
  template <class Value>
  void return_value(Value&& value) {
    value_.emplace(std::forward<Value>(value));
  }
  T take() {
    rethrow_failure();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void take() { rethrow_failure(); }
};

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = TaskPromise<T>;

  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  // Only a task that has not started may be moved.
  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (frame_) frame_.destroy();
  }

  // Runs the task up to its first suspension. True if it has finished; otherwise `waiter` is posted
  // when it does. For this room only: use co_await.
  bool start(Wakeup* waiter) {
    frame_.resume();
    if (frame_.promise().finished()) return true;
    frame_.promise().set_waiter(waiter);
    return false;
  }
  bool finished() const { return frame_.promise().finished(); }
  // Returns the result of a finished task, or throws its exception.
  T take() { return frame_.promise().take(); }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) {
    waiter_.frame = caller;
    return !start(&waiter_);
  }
  T await_resume() { return take(); }

 private:
  std::coroutine_handle<promise_type> frame_;
  CoroutineWakeup waiter_;
};

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

template <class T>
inline constexpr bool is_view = std::is_same_v<T, std::string_view>;
template <class T, std::size_t Extent>
inline constexpr bool is_view<std::span<T, Extent>> = true;

}  // namespace thinshim

template <class T, class... Parameters>
struct std::coroutine_traits<thinshim::Task<T>, Parameters...> {
  static_assert((!std::is_rvalue_reference_v<Parameters> && ...),
                "rvalue references dangle across co_await: pass by value");
  static_assert((!thinshim::is_view<std::remove_cvref_t<Parameters>> && ...),
                "views dangle across co_await: pass a string or a vector");
  using promise_type = thinshim::TaskPromise<T>;
};
