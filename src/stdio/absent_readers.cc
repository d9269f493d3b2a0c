// SPDX-License-Identifier: Apache-2.0
#include "stdio/absent_readers.h"

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

constexpr Duration kFirstLook = 20ms;
constexpr Duration kSlowestLook = 1s;

}  // namespace

bool has_reader(const Fd& end) {
  pollfd state{end.get(), 0, 0};
  return ::poll(&state, 1, 0) == 0 || !(state.revents & POLLERR);
}

// Closes what the last one leaves, which a cancelled wait does too.
class AbsentReaders::Waiter {
 public:
  Waiter(AbsentReaders& owner, const Fd& end) : owner_(owner), watch_(owner.add_watch(end)) {
    if (watch_ < 0 && owner_.looking_.empty())
      owner_.looking_.spawn(owner_.look_now_and_then(), "look for readers");
    ++owner_.waiters_;
  }
  ~Waiter() {
    if (watch_ >= 0) owner_.remove_watch(watch_);
    if (--owner_.waiters_ > 0) return;
    owner_.looking_.cancel();
    owner_.hearing_.cancel();
    owner_.inotify_.reset();
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

 private:
  AbsentReaders& owner_;
  int watch_;
};

int AbsentReaders::add_watch(const Fd& end) {
  if (!inotify_) {
    Fd instance(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!instance) return -1;
    try {
      inotify_.emplace(loop_, std::move(instance));
    } catch (const Error&) {
      return -1;
    }
    hearing_.spawn(read_news(), "hear of readers");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(end.get());
  const int number = ::inotify_add_watch(inotify_->fd.get(), path.c_str(), IN_OPEN);
  if (number >= 0) ++watches_[number];
  return number;
}

void AbsentReaders::remove_watch(int number) {
  if (--watches_[number] > 0) return;
  watches_.erase(number);
  ::inotify_rm_watch(inotify_->fd.get(), number);
}

Task<> AbsentReaders::wait_for(const Fd& end) {
  const Waiter waiter(*this, end);
  while (!has_reader(end)) co_await news_.wait();
}

// What is told does not matter: whoever waits looks for itself.
Task<> AbsentReaders::read_news() {
  for (;;) {
    co_await inotify_->watch.readable();
    char events[4096];
    while (::read(inotify_->fd.get(), events, sizeof events) > 0) {
    }
    news_.set();
    news_.clear();
  }
}

Task<> AbsentReaders::look_now_and_then() {
  for (Duration pause = kFirstLook;; pause = std::min(2 * pause, kSlowestLook)) {
    co_await sleep(loop_, pause);
    news_.set();
    news_.clear();
  }
}

}  // namespace thinshim
