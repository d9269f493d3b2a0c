// SPDX-License-Identifier: Apache-2.0
// Watches where the kernel has no room for more: it counts them by user (max_user_watches in
// epoll(7)), so that a container of the same user can take them all.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"

namespace {
bool no_room = false;
}  // namespace

// In the place of libc's.
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

// What waiting for it ends with, as errno; 0 where it is ready.
Task<int> readable(Watch& watch) {
  int failure = 0;
  try {
    co_await watch.readable();
  } catch (const Error& error) {
    failure = error.errnum();
  }
  co_return failure;
}
Task<int> writable(Watch& watch) {
  int failure = 0;
  try {
    co_await watch.writable();
  } catch (const Error& error) {
    failure = error.errnum();
  }
  co_return failure;
}

Task<bool> happens(Loop& loop, Event& event) { co_return co_await TimedWait(loop, event, 10s); }

// One end of a connection whose other end is silent and has room.
class WatchWithoutRoom : public testing::Test {
 protected:
  WatchWithoutRoom() {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
    near = Fd(ends[0]);
    far = Fd(ends[1]);
  }
  ~WatchWithoutRoom() override { no_room = false; }

  Fd near, far;
  Loop loop;
};

TEST_F(WatchWithoutRoom, TellsWhoeverWantsToWait) {
  Watch watch(loop, near.get());
  no_room = true;
  EXPECT_EQ(loop.run(readable(watch)), ENOSPC);
  EXPECT_EQ(loop.run(writable(watch)), ENOSPC);
  EXPECT_THROW(Watch(loop, far.get()), Error);
  no_room = false;
  EXPECT_EQ(loop.run(writable(watch)), 0);
}

TEST_F(WatchWithoutRoom, LetsNobodyWaitForEverWhoWaitedBefore) {
  Watch watch(loop, near.get());
  EventWakeup woken;
  Task<int> reading = readable(watch);
  ASSERT_FALSE(reading.start(&woken));
  no_room = true;
  EXPECT_EQ(loop.run(writable(watch)), ENOSPC);
  EXPECT_TRUE(loop.run(happens(loop, woken.event)));
}

// What nobody waits for is watched no more, and for that libuv begins anew.
TEST_F(WatchWithoutRoom, LetsNobodyWaitForEverWhoseNeighbourHasGone) {
  Watch watch(loop, near.get());
  EventWakeup woken;
  Task<int> reading = readable(watch);
  ASSERT_FALSE(reading.start(&woken));
  EXPECT_EQ(loop.run(writable(watch)), 0);
  no_room = true;
  EXPECT_TRUE(loop.run(happens(loop, woken.event)));
}

}  // namespace
}  // namespace thinshim
