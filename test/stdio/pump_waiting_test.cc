// SPDX-License-Identifier: Apache-2.0
// Pumps that wait must not use CPU, and busy pumps must yield to the loop.
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "pump_fixture.h"

namespace thinshim {
namespace {

using namespace test;

TEST_F(PumpTest, WaitsForASlowReaderWithoutLoss) {
  std::string data = pattern(600'000);
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(in.write), data), "write");
  std::string arrived;
  while (arrived.size() < data.size()) {
    settle();
    std::string next = read(out.read, std::min<std::size_t>(7000, data.size() - arrived.size()));
    if (next.empty()) break;
    arrived += next;
  }
  EXPECT_TRUE(arrived == data);
  wait_for_end();
}

// One byte at a time fills a pipe's slots long before its bytes.
TEST_F(PumpTest, CopiesManySmallWrites) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    std::string one(1, static_cast<char>('a' + i % 26));
    write(in.write, one);
    expected += one;
    settle();
  }
  EXPECT_EQ(read(out.read, 300), expected);
}

TEST_F(PumpTest, AFullSinkUsesNoCpu) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  pump(std::move(in.read), std::move(out.write));
  std::string data = pattern(150'000);
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(in.write), data), "write");
  EXPECT_LT(busy_milliseconds(), 10) << "with data at the source";
  std::string arrived = read(out.read, 20'000);
  EXPECT_LT(busy_milliseconds(), 10) << "after some was read";
  arrived += read(out.read, data.size() - arrived.size());
  EXPECT_TRUE(arrived == data);
  wait_for_end();
}

TEST_F(PumpTest, AFullSinkUsesNoCpuOnceTheSourceIsClosed) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  write(out.write, std::string(65536, 'x'));
  write(in.write, "last words");
  in.write.reset();  // POLLHUP at the source from here on
  pump(std::move(in.read), std::move(out.write));
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_FALSE(ended());
  read(out.read, 65536);
  EXPECT_EQ(read(out.read, 10), "last words");
  wait_for_end();
}

// A pipe of many small writes is full by its slots, not by its bytes: poll(2) and splice(2) must
// agree about that.
TEST_F(PumpTest, ASinkFullOfSmallWritesUsesNoCpu) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  pump(std::move(in.read), std::move(out.write));
  for (int i = 0; i < 40; ++i) {
    write(in.write, "x");
    settle();
  }
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(read(out.read, 40), std::string(40, 'x'));
}

TEST_F(PumpTest, AFullSocketUsesNoCpu) {
  Pipe in = make_pipe();
  int pair[2];
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
  Fd reader(pair[1]);
  pump(std::move(in.read), Fd(pair[0]));
  std::string data = pattern(1'000'000);
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(in.write), data), "write");
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_TRUE(read(reader, data.size()) == data);
  wait_for_end();
}

TEST_F(PumpTest, AnEmptySourceUsesNoCpu) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  write(in.write, "x");
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(unread(out.read.get()), 1);
}

TEST_F(PumpTest, AnEmptyPipeWithoutAReaderUsesNoCpu) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  settle();
  out.read.reset();
  EXPECT_LT(busy_milliseconds(), 10);
}

// A child writes as fast as it can, to /dev/null.
TEST_F(PumpTest, AtFullSpeedDoesNotStarveTheLoop) {
  Pipe in = make_pipe();
  pid_t writer = ::fork();
  if (writer == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    static char block[4096];
    while (::write(in.write.get(), block, sizeof block) > 0) {
    }
    ::_exit(0);
  }
  in.write.reset();
  pump(std::move(in.read), open_file("/dev/null", O_WRONLY));
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) run(pass_time(loop_, 1ms));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_FALSE(ended());
  ::kill(writer, SIGKILL);
  ::waitpid(writer, nullptr, 0);
}

Task<> count_turns(Loop& loop, const TaskSet& others, int& turns) {
  while (!others.empty()) {
    ++turns;
    co_await yield(loop);
  }
}

// Each packet is one step; all are available from the start.
TEST_F(PumpTest, YieldsBetweenManyPackets) {
  int pair[2];
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  Fd in(pair[1]);
  for (int i = 0; i < 160; ++i) ASSERT_EQ(::write(in.get(), "packet", 6), 6);
  in.reset();
  pump(Fd(pair[0]), open_file("/dev/null", O_WRONLY));
  int turns = 0;
  run(count_turns(loop_, tasks_, turns));
  EXPECT_GE(turns, 5);
}

}  // namespace
}  // namespace thinshim
