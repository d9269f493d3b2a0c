// SPDX-License-Identifier: Apache-2.0
#include "async/loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <stdexcept>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace thinshim {
namespace {

constexpr char kInitialise[] = "initialise the event loop";
constexpr Duration kRetryInterval{100};  // without room for an epoll watch

void check_uv(int result, const char* context) {
  if (result < 0) throw_errno(context, -result);
}

// Closes `raw`, the libuv handle inside the heap object `handle`, which is deleted once the handle
// is closed.
template <class Handle>
void close_and_delete(Handle* handle, uv_handle_t* raw) {
  raw->data = handle;
  uv_close(raw, [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

// Closes libuv's two signal pipes, which nothing uses: signals come by signalfd (signals.h). They
// would stay open as long as the pod, and a test of containerd looks for pipes of the shim
// (TestContainerIOLeakAfterStartFailed). One is libuv's global lock for signals;
// uv_library_shutdown() closes it, and libuv does without it afterwards (uv__signal_cleanup() of
// libuv 1.38 to 1.51). The other one is watched by the loop, so an eventfd that is never written to
// takes its place. Throws Error.
void close_pipes_for_signals(uv_loop_t& loop) {
  uv_library_shutdown();
  const Fd unused(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), kInitialise));
  check(::dup3(unused.get(), loop.signal_pipefd[0], O_CLOEXEC), kInitialise);
  ::close(loop.signal_pipefd[1]);
  loop.signal_pipefd[1] = -1;
}

// The only place where suspended coroutines are resumed.
void run_ready() {
  while (Wakeup* ready = ready_queue.pop()) ready->run();
}

}  // namespace

std::string duration_text(Duration duration) {
  const auto count = duration.count();
  return count % 1000 == 0 ? std::to_string(count / 1000) + "s" : std::to_string(count) + "ms";
}

Loop::Loop() : loop_(new uv_loop_t) {
  check_uv(uv_loop_init(loop_.get()), kInitialise);
  try {
    close_pipes_for_signals(*loop_);
  } catch (const Error&) {
    uv_loop_close(loop_.get());
    throw;
  }
}

Loop::~Loop() { close(); }

int Loop::close() {
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  return uv_loop_close(loop_.get());
}

std::uint64_t Loop::now() const {
  uv_update_time(loop_.get());
  return uv_now(loop_.get());
}

void Loop::drive(const bool& done) {
  run_ready();
  while (!done) {
    int alive = uv_run(loop_.get(), UV_RUN_ONCE);
    bool stuck = !alive && ready_queue.empty();
    run_ready();
    if (stuck && !done && !uv_loop_alive(loop_.get()))
      throw std::logic_error("the event loop has no active handle, and its task cannot finish");
  }
}

// A watch stays armed after its waiter has been resumed, because that waiter usually waits again;
// an event without a waiter disarms it. This saves two epoll_ctl(2) calls per wait. (libuv counts
// an armed handle as active.)
//
// If epoll_ctl(2) fails for lack of watches, a timer resumes all waiters.
struct Watch::Handle final : Wakeup {
  explicit Handle(Loop& owner) : loop(owner) {}

  Loop& loop;
  uv_poll_t poll{};
  int armed = 0;
  std::optional<Timer> retry;
  WakeupList readers;
  WakeupList writers;

  void arm(int events) {
    if ((armed & events) != events) set(armed | events);
  }
  void set(int events) {
    const bool is_set = uv_poll_start(&poll, events, &Handle::on_events) == 0 &&
                        (events == 0 || add_to_epoll());  // no events: the handle is stopped
    armed = is_set ? events : 0;
    if (is_set) return;
    uv_poll_stop(&poll);
    if (!retry) retry.emplace(loop, kRetryInterval, *this);
  }
  // libuv adds a started handle's descriptor to its epoll set at the next wait, and calls abort(3)
  // if that fails. If the set contains it already, libuv only modifies the events (uv__io_poll() of
  // libuv 1.44).
  bool add_to_epoll() {
    epoll_event nothing{};
    uv_os_fd_t fd = -1;
    uv_fileno(reinterpret_cast<uv_handle_t*>(&poll), &fd);
    nothing.data.fd = fd;
    return epoll_ctl(uv_backend_fd(poll.loop), EPOLL_CTL_ADD, fd, &nothing) == 0;
  }
  void run() override {
    retry.reset();
    wake(UV_READABLE | UV_WRITABLE);
  }
  void wake(int events) {
    if (events & UV_READABLE) readers.post_all();
    if (events & UV_WRITABLE) writers.post_all();
  }
  static void on_events(uv_poll_t* poll, int status, int events) {
    Handle& self = *static_cast<Handle*>(poll->data);
    if (status < 0) {  // EPOLLERR; libuv has stopped the handle
      self.armed = 0;
      events = UV_READABLE | UV_WRITABLE;
    }
    int wanted =
        (self.readers.empty() ? 0 : UV_READABLE) | (self.writers.empty() ? 0 : UV_WRITABLE);
    self.wake(events);
    if (self.armed != 0 && (events & ~wanted) != 0) self.set(self.armed & wanted);
  }
};

void Watch::Close::operator()(Handle* handle) const {
  handle->retry.reset();
  close_and_delete(handle, reinterpret_cast<uv_handle_t*>(&handle->poll));
}

Watch::Watch(Loop& loop, int fd) {
  auto handle = std::make_unique<Handle>(loop);
  check_uv(uv_poll_init(loop.raw(), &handle->poll, fd), "uv_poll_init");
  handle->poll.data = handle.get();
  handle_.reset(handle.release());
}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;
Watch::~Watch() = default;

Watch::Waiting Watch::readable() { return {*this, UV_READABLE}; }
Watch::Waiting Watch::writable() { return {*this, UV_WRITABLE}; }

void Watch::Waiting::await_suspend(std::coroutine_handle<> frame) {
  Handle& handle = *watch_.handle_;
  handle.arm(events_);
  wakeup_.frame = frame;
  (events_ == UV_READABLE ? handle.readers : handle.writers).push(wakeup_);
}

struct Timer::Handle {
  uv_timer_t timer{};
  Wakeup* wakeup = nullptr;

  static void on_time(uv_timer_t* timer) {
    static_cast<Handle*>(timer->data)->wakeup->post();
    // libuv 1.44 runs due timers before it polls descriptors: it must not block there now.
    uv_stop(timer->loop);
  }
};

void Timer::Close::operator()(Handle* handle) const {
  close_and_delete(handle, reinterpret_cast<uv_handle_t*>(&handle->timer));
}

Timer::Timer(Loop& loop, Duration delay, Wakeup& wakeup) {
  auto handle = std::make_unique<Handle>();
  uv_timer_init(loop.raw(), &handle->timer);
  handle->timer.data = handle.get();
  handle->wakeup = &wakeup;
  handle_.reset(handle.release());
  // uv_now() is cached since the loop's last iteration, which would shorten the delay.
  uv_update_time(loop.raw());
  uv_timer_start(&handle_->timer, &Handle::on_time,
                 delay.count() < 0 ? 0 : static_cast<std::uint64_t>(delay.count()), 0);
}
Timer::Timer(Timer&&) noexcept = default;
Timer::~Timer() = default;

Task<> set_later(Loop& loop, Duration delay, Event& event) {
  co_await sleep(loop, delay);
  event.set();
}

Task<bool> within(Loop& loop, Duration limit, Task<> task) {
  EventWakeup done;
  Task<> running = std::move(task);  // destroyed before `done`, as in the header
  bool finished = running.start(&done);
  if (!finished) finished = co_await TimedWait(loop, done.event, limit);
  if (finished) running.take();
  co_return finished;
}

}  // namespace thinshim
