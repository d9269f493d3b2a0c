// SPDX-License-Identifier: Apache-2.0
// The one event loop: libuv underneath, coroutines on top. No other room sees <uv.h>.
//
// Descriptors are watched with uv_poll and read or written by their owners, because the shim
// splices, passes and peeks at descriptors, which uv_stream would hide. A handle lives on the heap
// until libuv has closed it, never on a coroutine frame.
#pragma once

#include <chrono>
#include <coroutine>
#include <memory>

#include "async/sync.h"
#include "async/task.h"
#include "async/wakeup.h"

struct uv_loop_s;

namespace thinshim {

using Duration = std::chrono::milliseconds;

class Loop {
 public:
  Loop();
  // Runs until the last handle is closed. Whoever owns watches or timers must be gone by then.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Drives everything until `task` finishes; returns its result or throws what it threw.
  // Throws std::logic_error where it can never finish, because nothing is left to wait for.
  template <class T>
  T run(Task<T> task) {
    RootWakeup root;
    if (!task.start(&root)) drive(root.done);
    return task.take();
  }

  // Milliseconds of libuv's monotonic clock, taken afresh.
  std::uint64_t now() const;

  // Closes what is closing; 0 once the loop owns nothing, libuv's UV_EBUSY where something was
  // leaked. For tests.
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

// Waits for a descriptor that epoll accepts (not a regular file) to become readable or writable.
// The descriptor must stay open as long as the watch; its open file description becomes
// non-blocking, so it must not be shared with a process that does not expect that. One watch per
// descriptor.
//
// A hang-up or an error makes it both readable and writable: the read or write that follows tells
// which. Readiness may be spurious, so every use handles EAGAIN. It is told late, by a tenth of a
// second at most, where the kernel has no room for more watches of the user (max_user_watches in
// epoll(7)), and had some when the watch was made: else the constructor throws Error.
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

// A one-shot timer that posts a node.
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

// For a TaskSet that ends before the event does.
Task<> set_later(Loop& loop, Duration delay, Event& event);

// Lets everything else that is ready, and one round of the loop's descriptors, go first.
inline Sleep yield(Loop& loop) { return Sleep(loop, Duration(0)); }

// `co_await TimedWait(loop, event, 4s)`: whether the event was set before the time was over.
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

// Runs the task for at most `limit`: its result, or nothing where it was not finished by then (it
// is cancelled). What the task throws passes through.
template <class T>
Task<std::optional<T>> within(Loop& loop, Duration limit, Task<T> task) {
  EventWakeup done;
  // Goes before the event that it sets, not with the frame, which its owner may keep for a while.
  Task<T> running = std::move(task);
  bool finished = running.start(&done);
  if (!finished) finished = co_await TimedWait(loop, done.event, limit);
  if (!finished) co_return std::nullopt;
  co_return running.take();
}
// The same for a task without a result: whether it finished.
Task<bool> within(Loop& loop, Duration limit, Task<> task);

}  // namespace thinshim
