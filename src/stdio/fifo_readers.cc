// SPDX-License-Identifier: Apache-2.0
#include "stdio/fifo_readers.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/error.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kMinPollInterval = 20ms;
constexpr Duration kMaxPollInterval = 1s;

}  // namespace

bool has_reader(const Fd& end) {
  pollfd state{end.get(), 0, 0};
  return ::poll(&state, 1, 0) == 0 || !(state.revents & POLLERR);
}

// Registers a wait; the last one closes the inotify instance, also when it is cancelled.
class FifoReaders::Waiter {
 public:
  Waiter(FifoReaders& owner, const Fd& end) : owner_(owner), watch_(owner.add_watch(end)) {
    if (watch_ < 0 && owner_.polling_.empty())
      owner_.polling_.spawn(owner_.poll_periodically(), "poll for fifo readers");
    ++owner_.waiters_;
  }
  ~Waiter() {
    if (watch_ >= 0) owner_.remove_watch(watch_);
    if (--owner_.waiters_ > 0) return;
    owner_.polling_.cancel();
    owner_.reading_events_.cancel();
    owner_.inotify_.reset();
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

 private:
  FifoReaders& owner_;
  int watch_;
};

int FifoReaders::add_watch(const Fd& end) {
  if (!inotify_) {
    Fd instance(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!instance) return -1;
    try {
      inotify_.emplace(loop_, std::move(instance));
    } catch (const Error&) {
      return -1;
    }
    reading_events_.spawn(read_events(), "read inotify events");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(end.get());
  const int number = ::inotify_add_watch(inotify_->fd.get(), path.c_str(), IN_OPEN);
  if (number >= 0) ++watches_[number];
  return number;
}

void FifoReaders::remove_watch(int number) {
  if (--watches_[number] > 0) return;
  watches_.erase(number);
  ::inotify_rm_watch(inotify_->fd.get(), number);
}

Task<> FifoReaders::wait_for(const Fd& end) {
  const Waiter waiter(*this, end);
  while (!has_reader(end)) co_await changed_.wait();
}

// Ignores the content of the events: each waiter checks its own fifo.
Task<> FifoReaders::read_events() {
  for (;;) {
    co_await inotify_->watch.readable();
    char events[4096];
    while (::read(inotify_->fd.get(), events, sizeof events) > 0) {
    }
    changed_.set();
    changed_.clear();
  }
}

Task<> FifoReaders::poll_periodically() {
  for (Duration pause = kMinPollInterval;; pause = std::min(2 * pause, kMaxPollInterval)) {
    co_await sleep(loop_, pause);
    changed_.set();
    changed_.clear();
  }
}

}  // namespace thinshim
