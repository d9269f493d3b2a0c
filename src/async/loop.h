// SPDX-License-Identifier: Apache-2.0
// The event loop: libuv, driven through coroutines. No other room includes <uv.h>.
//
// Descriptors are watched with uv_poll; their owners read and write them, because the shim needs
// splice(2) and SCM_RIGHTS, which uv_stream does not offer. A libuv handle lives on the heap until
// libuv has closed it, never in a coroutine frame.
#pragma once

#include <chrono>
#include <coroutine>
#include <memory>
#include <string>

#include "async/sync.h"
#include "async/task.h"
#include "async/wakeup.h"

struct uv_loop_s;

namespace thinshim {

using Duration = std::chrono::milliseconds;

// For error texts: "30s", "500ms".
std::string duration_text(Duration duration);

class Loop {
 public:
  Loop();
  // Closes the loop. All watches and timers must have been destroyed before.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs the loop until `task` finishes; returns its result or throws its exception. Throws
  // std::logic_error if the task can never finish because the loop has no active handle.
  template <class T>
  T run(Task<T> task) {
    RootWakeup root;
    if (!task.start(&root)) drive(root.done);
    return task.take();
  }

  // Milliseconds of libuv's monotonic clock, updated by this call.
  std::uint64_t now() const;

  // uv_loop_close(): 0, or UV_EBUSY if a handle was leaked. For tests.
  int close();

  uv_loop_s* raw() { return loop_.get(); }

 private:
  struct RootWakeup final : Wakeup {
    bool done = false;
    void run() override { done = true; }
  };
  void drive(const bool& done);

  std::unique_ptr<uv_loop_s> loop_;
};

// Waits until a descriptor is readable or writable. One watch per descriptor.
//
// - The descriptor must be one that epoll accepts (not a regular file), and must stay open as long
//   as the watch exists. Its open file description becomes non-blocking, so it must not be shared
//   with a process that does not expect that.
// - A hang-up or an error counts as both readable and writable; the next read or write returns the
//   error. Readiness may be spurious: callers must handle EAGAIN.
// - If the user has reached the limit of epoll watches (max_user_watches in epoll(7)), the
//   constructor throws Error. If the limit is reached later, waiters resume every 100 ms instead.
class Watch {
 public:
  Watch(Loop& loop, int fd);
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;
  ~Watch();

  class Waiting {
   public:
    Waiting(Watch& watch, int events) : watch_(watch), events_(events) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> frame);
    void await_resume() const {}

   private:
    Watch& watch_;
    int events_;
    CoroutineWakeup wakeup_;
  };
  Waiting readable();
  Waiting writable();

 private:
  struct Handle;
  struct Close {
    void operator()(Handle* handle) const;
  };
  std::unique_ptr<Handle, Close> handle_;
};

// A one-shot timer that posts `wakeup`. Its destructor cancels it.
class Timer {
 public:
  Timer(Loop& loop, Duration delay, Wakeup& wakeup);
  Timer(Timer&&) noexcept;
  ~Timer();

 private:
  struct Handle;
  struct Close {
    void operator()(Handle* handle) const;
  };
  std::unique_ptr<Handle, Close> handle_;
};

// co_await sleep(loop, 20ms)
class Sleep {
 public:
  Sleep(Loop& loop, Duration delay) : loop_(loop), delay_(delay) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> frame) {
    wakeup_.frame = frame;
    timer_.emplace(loop_, delay_, wakeup_);
  }
  void await_resume() const {}

 private:
  Loop& loop_;
  Duration delay_;
  CoroutineWakeup wakeup_;
  std::optional<Timer> timer_;
};
inline Sleep sleep(Loop& loop, Duration delay) { return Sleep(loop, delay); }

// Sets the event after `delay`. The task must not outlive the event.
Task<> set_later(Loop& loop, Duration delay, Event& event);

// Suspends for one iteration of the loop: other tasks that are ready run first, and descriptors are
// polled once.
inline Sleep yield(Loop& loop) { return Sleep(loop, Duration(0)); }

// `co_await TimedWait(loop, event, 4s)`: true if the event was set, false after the timeout.
class TimedWait {
 public:
  TimedWait(Loop& loop, Event& event, Duration limit) : loop_(loop), event_(event), limit_(limit) {}
  bool await_ready() const { return event_.is_set(); }
  void await_suspend(std::coroutine_handle<> frame) {
    wakeup_.frame = frame;
    event_.waiters_.push(wakeup_);
    timer_.emplace(loop_, limit_, wakeup_);  // takes the node out of the event's list when it fires
  }
  bool await_resume() const { return event_.is_set(); }

 private:
  Loop& loop_;
  Event& event_;
  Duration limit_;
  CoroutineWakeup wakeup_;
  std::optional<Timer> timer_;
};

// Runs the task with a timeout: returns its result, or cancels it after `limit` and returns
// nothing. Exceptions of the task pass through.
template <class T>
Task<std::optional<T>> within(Loop& loop, Duration limit, Task<T> task) {
  EventWakeup done;
  // A local, so that it is destroyed before the event that it sets: a parameter lives until the
  // frame is destroyed, which its owner may do later.
  Task<T> running = std::move(task);
  bool finished = running.start(&done);
  if (!finished) finished = co_await TimedWait(loop, done.event, limit);
  if (!finished) co_return std::nullopt;
  co_return running.take();
}
// The same for a task without a result: true if it finished, false after the timeout.
Task<bool> within(Loop& loop, Duration limit, Task<> task);

}  // namespace thinshim
