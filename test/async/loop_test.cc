// SPDX-License-Identifier: Apache-2.0
#include "async/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "async/signals.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

Task<std::string> read_text(Watch& watch, int fd) {
  char buffer[64];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n >= 0) co_return std::string(buffer, static_cast<size_t>(n));
    if (errno != EAGAIN) throw_errno("read");
    co_await watch.readable();
  }
}
Task<> write_later(Loop& loop, int fd, std::string text) {
  co_await sleep(loop, 5ms);
  check(::write(fd, text.data(), text.size()), "write");
}

std::size_t pipes_of_this_process() {
  std::size_t count = 0;
  for (int fd = 0; fd < 200; ++fd)
    count += read_link("/proc/self/fd/" + std::to_string(fd)).value_or("").starts_with("pipe:");
  return count;
}

// libuv makes two pipes for signals: one per loop, one per process.
TEST(Loop, KeepsNoSignalPipes) {
  const std::size_t before = pipes_of_this_process();
  Loop loop;
  Pipe pipe = make_pipe(O_NONBLOCK);
  Watch watch(loop, pipe.read.get());
  check(::write(pipe.write.get(), "x", 1), "write");
  EXPECT_EQ(loop.run(read_text(watch, pipe.read.get())), "x");
  EXPECT_EQ(pipes_of_this_process(), before + 2) << "those of this test alone";
}

TEST(Loop, ThrowsWhenTheTaskCanNeverFinish) {
  Loop loop;
  Event never;
  struct Local {
    static Task<> wait(Event& event) { co_await event.wait(); }
  };
  EXPECT_THROW(loop.run(Local::wait(never)), std::logic_error);
}

TEST(Loop, IsEmptyOnceItsWatchesAndTimersAreGone) {
  Loop loop;
  {
    Pipe pipe = make_pipe();
    Watch watch(loop, pipe.read.get());
    EXPECT_NE(loop.close(), 0);
  }
  EXPECT_EQ(loop.close(), 0);
}

TEST(Watch, WakesTheReaderWhenDataArrives) {
  Loop loop;
  Pipe pipe = make_pipe();
  Watch watch(loop, pipe.read.get());
  TaskSet set;
  set.spawn(write_later(loop, pipe.write.get(), "hello"), "write");
  EXPECT_EQ(loop.run(read_text(watch, pipe.read.get())), "hello");
  loop.run(set.wait_empty());
}

TEST(Watch, WakesTheReaderAtEndOfFile) {
  Loop loop;
  Pipe pipe = make_pipe();
  Watch watch(loop, pipe.read.get());
  pipe.write.reset();
  EXPECT_EQ(loop.run(read_text(watch, pipe.read.get())), "");
}

Task<ssize_t> fill(Watch& watch, int fd, size_t bytes) {
  std::string chunk(4096, 'x');
  ssize_t written = 0;
  while (static_cast<size_t>(written) < bytes) {
    ssize_t n = ::write(fd, chunk.data(), chunk.size());
    if (n > 0) written += n;
    if (n < 0 && errno == EPIPE) co_return -1;
    if (n < 0 && errno == EAGAIN) co_await watch.writable();
  }
  co_return written;
}
Task<> drain_later(Loop& loop, int fd) {
  char buffer[65536];
  for (int round = 0; round < 8; ++round) {
    co_await sleep(loop, 1ms);
    while (::read(fd, buffer, sizeof buffer) > 0) {
    }
  }
}

TEST(Watch, WakesTheWriterWhenThereIsRoom) {
  Loop loop;
  Pipe pipe = make_pipe(O_NONBLOCK);
  Watch watch(loop, pipe.write.get());
  TaskSet set;
  set.spawn(drain_later(loop, pipe.read.get()), "drain");
  EXPECT_GE(loop.run(fill(watch, pipe.write.get(), 200000)), 200000);
  loop.run(set.wait_empty());
}

TEST(Watch, WakesTheWriterWhenTheReaderCloses) {
  signal(SIGPIPE, SIG_IGN);
  struct Local {
    static Task<> close_later(Loop& loop, Fd fd) {
      co_await sleep(loop, 5ms);
      fd.reset();
    }
  };
  Loop loop;
  Pipe pipe = make_pipe(O_NONBLOCK);
  Watch watch(loop, pipe.write.get());
  TaskSet set;
  set.spawn(Local::close_later(loop, std::move(pipe.read)), "close");
  EXPECT_EQ(loop.run(fill(watch, pipe.write.get(), 1 << 20)), -1);
  loop.run(set.wait_empty());
}

TEST(Watch, ReaderAndWriterWaitIndependently) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  Fd near(ends[0]), far(ends[1]);
  Loop loop;
  Watch watch(loop, near.get());
  Watch far_watch(loop, far.get());
  struct Local {
    static Task<> read_all(Watch& watch, int fd, size_t bytes) {
      char buffer[65536];
      while (bytes > 0) {
        ssize_t n = ::read(fd, buffer, std::min(sizeof buffer, bytes));
        if (n > 0) bytes -= static_cast<size_t>(n);
        if (n < 0) co_await watch.readable();
      }
      check(::write(fd, "done", 4), "write");
    }
  };
  TaskSet set;
  set.spawn(Local::read_all(far_watch, far.get(), 1 << 20), "far");
  Task<std::string> reading = read_text(watch, near.get());
  struct Waits {
    static Task<> fill_all(Watch& watch, int fd) { co_await fill(watch, fd, 1 << 20); }
  };
  set.spawn(Waits::fill_all(watch, near.get()), "fill");
  EXPECT_EQ(loop.run(std::move(reading)), "done");
  loop.run(set.wait_empty());
}

Task<> one_turn(Loop& loop) { co_await yield(loop); }

// libuv 1.44 runs due timers before it polls descriptors: it must not block while what they woke is
// ready.
TEST(Timer, ThatIsDueAlreadyDoesNotWaitForADescriptor) {
  Loop loop;
  Pipe silent = make_pipe();
  Watch watch(loop, silent.read.get());
  TaskSet waiting;
  Task<std::string> reading = read_text(watch, silent.read.get());
  struct Local {
    static Task<> discard(Task<std::string> task) { co_await std::move(task); }
  };
  waiting.spawn(Local::discard(std::move(reading)), "read");
  std::uint64_t begin = loop.now();
  EXPECT_TRUE(loop.run(within(loop, 20s, one_turn(loop))));
  EXPECT_LT(loop.now() - begin, 10000u);
}

TEST(Watch, RefusesRegularFiles) {
  Loop loop;
  Fd file = open_file("/proc/self/exe", O_RDONLY);
  EXPECT_THROW(Watch(loop, file.get()), Error);
  EXPECT_EQ(loop.close(), 0);
}

Task<int> slow(Loop& loop, Duration delay) {
  co_await sleep(loop, delay);
  co_return 1;
}

TEST(Within, CancelsTheTaskAfterTheTimeout) {
  Loop loop;
  EXPECT_EQ(loop.run(within(loop, 10s, slow(loop, 1ms))), 1);
  EXPECT_EQ(loop.run(within(loop, 1ms, slow(loop, 10s))), std::nullopt);
  EXPECT_EQ(loop.close(), 0) << "the cancelled task's timer is closed";
}

Task<> give_up_after(Loop& loop, Duration limit, Event& event) {
  struct Local {
    static Task<> wait(Event& awaited) { co_await awaited.wait(); }
  };
  Task<> waiting = Local::wait(event);
  co_await within(loop, limit, std::move(waiting));
}

// The inner task is ready to finish when the outer one times out.
TEST(Within, MayTimeOutInTheIterationInWhichTheTaskFinishes) {
  Loop loop;
  Event never;
  for (int round = 0; round < 50; ++round) {
    loop.run(within(loop, 1ms, give_up_after(loop, 1ms, never)));
    loop.run(one_turn(loop));
  }
}

TEST(Signals, AreReadFromASignalfd) {
  Loop loop;
  Signals signals(loop, {SIGUSR1, SIGUSR2});
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(loop.run(signals.next()), SIGUSR2);
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(loop.run(signals.next()), SIGUSR1);
}

}  // namespace
}  // namespace thinshim
