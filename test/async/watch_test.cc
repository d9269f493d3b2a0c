// SPDX-License-Identifier: Apache-2.0
// Watches at the limit of epoll watches per user (max_user_watches in epoll(7)), which a container
// of the same user can use up.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"

namespace {
bool no_room = false;
}  // namespace

// Replaces libc's.
extern "C" int epoll_ctl(int set, int operation, int fd, struct epoll_event* event) noexcept {
  const long result = ::syscall(SYS_epoll_ctl, set, operation, fd, event);
  if (!no_room || operation != EPOLL_CTL_ADD || result != 0) return static_cast<int>(result);
  ::syscall(SYS_epoll_ctl, set, EPOLL_CTL_DEL, fd, event);
  errno = ENOSPC;
  return -1;
}

namespace thinshim {
namespace {

using namespace std::chrono_literals;

Task<std::string> read_some(Watch& watch, int fd) {
  char text[16];
  ssize_t n;
  while ((n = ::read(fd, text, sizeof text)) < 0) co_await watch.readable();
  co_return std::string(text, static_cast<std::size_t>(n));
}
// One iteration, in which libuv adds its own descriptors to epoll.
Task<> begin(Loop& loop) { co_await yield(loop); }
Task<> wait_until_writable(Watch& watch) { co_await watch.writable(); }
Task<> write_later(Loop& loop, int fd) {
  co_await sleep(loop, 5ms);
  check(::write(fd, "hello", 5), "write");
}
Task<> discard(Task<std::string> task, std::string& text) { text = co_await std::move(task); }

// `near` is writable, and not readable until write_later() has written.
class WatchAtTheLimit : public testing::Test {
 protected:
  WatchAtTheLimit() {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
    near = Fd(ends[0]);
    far = Fd(ends[1]);
    loop.run(begin(loop));
  }
  ~WatchAtTheLimit() override { no_room = false; }

  Fd near, far;
  Loop loop;
  TaskSet tasks;
};

TEST_F(WatchAtTheLimit, IsLate) {
  Watch watch(loop, near.get());
  no_room = true;
  tasks.spawn(write_later(loop, far.get()), "write");
  EXPECT_EQ(loop.run(read_some(watch, near.get())), "hello");
  loop.run(wait_until_writable(watch));
  EXPECT_THROW(Watch(loop, far.get()), Error);
}

TEST_F(WatchAtTheLimit, StillWakesAnEarlierWaiter) {
  Watch watch(loop, near.get());
  std::string text;
  tasks.spawn(discard(read_some(watch, near.get()), text), "read");
  no_room = true;
  loop.run(wait_until_writable(watch));
  tasks.spawn(write_later(loop, far.get()), "write");
  loop.run(tasks.wait_empty());
  EXPECT_EQ(text, "hello");
}

// An event without a waiter disarms the watch, for which libuv starts the handle again.
TEST_F(WatchAtTheLimit, StillWakesAWaiterWhenTheOtherEventIsDisarmed) {
  Watch watch(loop, near.get());
  std::string text;
  tasks.spawn(discard(read_some(watch, near.get()), text), "read");
  loop.run(wait_until_writable(watch));
  no_room = true;
  tasks.spawn(write_later(loop, far.get()), "write");
  loop.run(tasks.wait_empty());
  EXPECT_EQ(text, "hello");
}

TEST_F(WatchAtTheLimit, IsArmedAgainOnceThereIsRoom) {
  Watch watch(loop, near.get());
  no_room = true;
  loop.run(wait_until_writable(watch));
  no_room = false;
  tasks.spawn(write_later(loop, far.get()), "write");
  const std::uint64_t began = loop.now();
  for (int n = 0; n < 100; ++n) loop.run(wait_until_writable(watch));
  EXPECT_LT(loop.now() - began, 5'000u) << "resumed by the timer";
  EXPECT_EQ(loop.run(read_some(watch, near.get())), "hello");
}

}  // namespace
}  // namespace thinshim
