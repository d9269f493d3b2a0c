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
constexpr Duration kBetweenLooks{100};

void check_uv(int result, const char* context) {
  if (result < 0) throw_errno(context, -result);
}

// Hands a heap object with a libuv handle as its first use over to libuv, which frees it once the
// handle is closed.
template <class Handle>
void close_and_delete(Handle* handle, uv_handle_t* raw) {
  raw->data = handle;
  uv_close(raw, [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

// Signals come by signalfd (signals.h), and libuv's own are two pipes that nothing goes through: in
// a shim they would last as long as a pod, and containerd's tests look for pipes in it
// (TestContainerIOLeakAfterStartFailed). One is a lock for the whole process, which libuv closes at
// its end, and does without from then on (uv__signal_cleanup() of libuv 1.38 to 1.51). The other is
// among the descriptors that the loop will watch: one that says nothing stands there in its place.
// Throws Error.
void close_pipes_for_signals(uv_loop_t& loop) {
  uv_library_shutdown();
  const Fd silent(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), kInitialise));
  check(::dup3(silent.get(), loop.signal_pipefd[0], O_CLOEXEC), kInitialise);
  ::close(loop.signal_pipefd[1]);
  loop.signal_pipefd[1] = -1;
}

// The one place where coroutines are resumed.
void run_ready() {
  while (Wakeup* ready = ready_queue.pop()) ready->run();
}

}  // namespace

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
      throw std::logic_error("the event loop has nothing left to wait for");
  }
}

// libuv counts a started handle as alive. A watch stays armed after its waiter went on, because
// that waiter mostly comes back; readiness that nobody waits for disarms it. This saves two
// epoll_ctl calls for each wait.
//
// Where the kernel has no room for a watch its waiters look again by themselves, all of them.
struct Watch::Handle final : Wakeup {
  explicit Handle(Loop& owner) : loop(owner) {}

  Loop& loop;
  uv_poll_t poll{};
  int armed = 0;
  std::optional<Timer> look_again;
  WakeupList readers;
  WakeupList writers;

  void arm(int events) {
    if ((armed & events) != events) set(armed | events);
  }
  void set(int events) {
    const bool is_set = uv_poll_start(&poll, events, &Handle::on_events) == 0 &&
                        (events == 0 || take_place());  // without events it is stopped
    armed = is_set ? events : 0;
    if (is_set) return;
    uv_poll_stop(&poll);
    if (!look_again) look_again.emplace(loop, kBetweenLooks, *this);
  }
  // libuv adds a started handle's descriptor to its epoll set when it waits next, and calls
  // abort(3) where there is no room. In a set that has it already it only changes the events
  // (uv__io_poll() of libuv 1.44).
  bool take_place() {
    epoll_event nothing{};
    uv_os_fd_t fd = -1;
    uv_fileno(reinterpret_cast<uv_handle_t*>(&poll), &fd);
    nothing.data.fd = fd;
    return epoll_ctl(uv_backend_fd(poll.loop), EPOLL_CTL_ADD, fd, &nothing) == 0;
  }
  void run() override {
    look_again.reset();
    wake(UV_READABLE | UV_WRITABLE);
  }
  void wake(int events) {
    if (events & UV_READABLE) readers.post_all();
    if (events & UV_WRITABLE) writers.post_all();
  }
  static void on_events(uv_poll_t* poll, int status, int events) {
    Handle& self = *static_cast<Handle*>(poll->data);
    if (status < 0) {  // an error condition on the descriptor; libuv has stopped the handle
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
  handle->look_again.reset();
  close_and_delete(handle, reinterpret_cast<uv_handle_t*>(&handle->poll));
}

Watch::Watch(Loop& loop, int fd) {
  auto handle = std::make_unique<Handle>(loop);
  check_uv(uv_poll_init(loop.raw(), &handle->poll, fd), "watch a descriptor");
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
    // libuv 1.44 runs timers that are due before it waits for descriptors; it must not wait now.
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
  // What ran since the last round of the loop must not shorten the delay.
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
  Task<> running = std::move(task);  // as in the header: goes before `done`
  bool finished = running.start(&done);
  if (!finished) finished = co_await TimedWait(loop, done.event, limit);
  if (finished) running.take();
  co_return finished;
}

}  // namespace thinshim
