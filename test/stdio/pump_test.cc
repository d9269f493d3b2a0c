// SPDX-License-Identifier: Apache-2.0
#include "stdio/pump.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <memory>

#include "async/sync.h"
#include "stdio_fixture.h"

namespace thinshim {
namespace {

using namespace test;

class PumpTest : public StdioTest {
 protected:
  // Starts a pump that takes over both descriptors.
  void pump(Fd source, Fd sink, Pump::BrokenSink broken_sink = Pump::BrokenSink::drop) {
    source_ = std::move(source);
    sink_ = std::move(sink);
    pump_ = std::make_unique<Pump>(loop_, source_.get(), sink_.get(), broken_sink, "stdout of c1");
    tasks_.spawn(pump_->run(), "pump");
  }
  bool ended() const { return tasks_.empty(); }
  void wait_for_end() { run(tasks_.wait_empty()); }
  void close_sink() {
    pump_.reset();
    sink_.reset();
  }
  void streams_gone() override {
    tasks_.cancel();
    pump_.reset();
    source_.reset();
    sink_.reset();
  }

  Fd source_, sink_;
  std::unique_ptr<Pump> pump_;
  TaskSet tasks_;
};

Fd fifo_sink(const std::string& path) { return open_file(path, O_WRONLY | O_NONBLOCK); }
Fd append_sink(const std::string& path) {
  return open_file(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
}

TEST_F(PumpTest, MovesBytesFromAPipeToAFifoAndEndsWithThePipe) {
  std::string fifo = make_fifo("out");
  Fd reader = open_reader(fifo);
  Pipe pipe = make_pipe();
  pump(std::move(pipe.read), fifo_sink(fifo));
  write(pipe.write, "first");
  EXPECT_EQ(read(reader, 5), "first");
  write(pipe.write, "second");
  EXPECT_EQ(read(reader, 6), "second");
  EXPECT_FALSE(ended());
  pipe.write.reset();
  wait_for_end();
}

TEST_F(PumpTest, MovesWhatWasWrittenBeforeItCame) {
  Pipe pipe = make_pipe(), out = make_pipe();
  write(pipe.write, "early");
  pipe.write.reset();
  pump(std::move(pipe.read), std::move(out.write));
  wait_for_end();
  close_sink();
  EXPECT_EQ(read_to_end(out.read), "early");
}

// What the two ends may be, for the same bytes.
struct Ends {
  const char* what;
  bool socket_source;  // not spliceable to a file opened for appending, nor to a socket
  enum { pipe, socket, file } sink;
};
class PumpBetween : public PumpTest, public testing::WithParamInterface<Ends> {};

TEST_P(PumpBetween, LosesNoByteOfMuchData) {
  std::string data = pattern(3'000'000);
  Fd from, into, reader, sink;
  if (GetParam().socket_source) {
    int pair[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    from = Fd(pair[0]);
    into = Fd(pair[1]);
  } else {
    Pipe pipe = make_pipe();
    from = std::move(pipe.read);
    into = std::move(pipe.write);
  }
  std::string file = dir_ / "log";
  if (GetParam().sink == Ends::file) {
    write_file(file, "", 0600);
    sink = append_sink(file);
  } else if (GetParam().sink == Ends::socket) {
    int pair[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    sink = Fd(pair[0]);
    reader = Fd(pair[1]);
  } else {
    Pipe pipe = make_pipe();
    reader = std::move(pipe.read);
    sink = std::move(pipe.write);
  }
  pump(std::move(from), std::move(sink));
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(into), data), "write");
  std::string arrived = reader ? read(reader, data.size()) : "";
  wait_for_end();
  if (!reader) arrived = read_file(file).value();
  EXPECT_TRUE(arrived == data) << arrived.size() << " of " << data.size() << " bytes";
}

INSTANTIATE_TEST_SUITE_P(Pump, PumpBetween,
                         testing::Values(Ends{"pipe to pipe", false, Ends::pipe},
                                         Ends{"pipe to socket", false, Ends::socket},
                                         Ends{"pipe to file", false, Ends::file},
                                         Ends{"socket to pipe", true, Ends::pipe},
                                         Ends{"socket to socket", true, Ends::socket},
                                         Ends{"socket to file", true, Ends::file}),
                         [](const auto& test) {
                           std::string name = test.param.what;
                           for (char& c : name) c = c == ' ' ? '_' : c;
                           return name;
                         });

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
TEST_F(PumpTest, TakesManySmallWritesOneByOne) {
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

TEST_F(PumpTest, AFullSinkIsWaitedForWithoutWork) {
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

TEST_F(PumpTest, AFullSinkIsWaitedForWithoutWorkOnceTheSourceIsClosed) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  write(out.write, std::string(65536, 'x'));
  write(in.write, "last words");
  in.write.reset();  // a hang-up at the source from here on
  pump(std::move(in.read), std::move(out.write));
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_FALSE(ended());
  read(out.read, 65536);
  EXPECT_EQ(read(out.read, 10), "last words");
  wait_for_end();
}

// The sink of small bytes is full by its slots, not by its bytes: poll() and splice() must mean the
// same.
TEST_F(PumpTest, ASinkFullOfSmallPiecesIsWaitedForWithoutWork) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  pump(std::move(in.read), std::move(out.write));
  for (int i = 0; i < 40; ++i) {
    write(in.write, "x");
    settle();
  }
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(read(out.read, 40), std::string(40, 'x'));
}

TEST_F(PumpTest, AFullSocketIsWaitedForWithoutWork) {
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

TEST_F(PumpTest, AnEmptySourceIsWaitedForWithoutWork) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  write(in.write, "x");
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(unread(out.read.get()), 1);
}

TEST_F(PumpTest, ADeadReaderOfAnEmptyPipeIsNoWork) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  settle();
  out.read.reset();
  EXPECT_LT(busy_milliseconds(), 10);
}

TEST_F(PumpTest, OutputForABrokenSinkIsDroppedAndReported) {
  keep_log();
  Pipe in = make_pipe();
  pump(std::move(in.read), open_file("/dev/full", O_WRONLY | O_APPEND | O_NONBLOCK));
  run(write_and_close(loop_, std::move(in.write), pattern(1'000'000)));
  wait_for_end();
  std::string log = logged();
  EXPECT_NE(log.find("output is dropped from here on"), std::string::npos) << log;
  EXPECT_NE(log.find("stream=\"stdout of c1\""), std::string::npos) << log;
  EXPECT_NE(log.find("no space left on device"), std::string::npos) << log;
  EXPECT_EQ(log.find("dropped"), log.rfind("dropped")) << "said once: " << log;
}

TEST_F(PumpTest, OutputForASinkThatBreaksLaterIsDropped) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  write(in.write, "heard");
  EXPECT_EQ(read(out.read, 5), "heard");
  out.read.reset();
  run(write_and_close(loop_, std::move(in.write), pattern(300'000)));
  wait_for_end();
}

TEST_F(PumpTest, OutputForASinkThatBreaksWhileItIsFullIsDropped) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write));
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(in.write), pattern(300'000)), "write");
  settle();
  out.read.reset();
  wait_for_end();
}

TEST_F(PumpTest, ABrokenSinkStopsInput) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write), Pump::BrokenSink::stop);
  out.read.reset();
  settle();
  EXPECT_FALSE(ended());
  write(in.write, "for nobody");
  wait_for_end();
}

TEST_F(PumpTest, ASinkThatBreaksWhileItIsFullStopsInput) {
  Pipe in = make_pipe(), out = make_pipe();
  pump(std::move(in.read), std::move(out.write), Pump::BrokenSink::stop);
  TaskSet writing;
  writing.spawn(write_some(loop_, in.write.get(), pattern(120'000)), "write");
  settle();
  out.read.reset();
  wait_for_end();
}

TEST_F(PumpTest, AppendsToAFileThatOthersAppendToAsWell) {
  std::string file = dir_ / "log";
  write_file(file, "before\n", 0600);
  Pipe in = make_pipe();
  pump(std::move(in.read), append_sink(file));
  write(in.write, "one\n");
  settle();
  {
    Fd other = append_sink(file);
    ASSERT_EQ(::write(other.get(), "other\n", 6), 6);
  }
  write(in.write, "two\n");
  in.write.reset();
  wait_for_end();
  EXPECT_EQ(read_file(file), "before\none\nother\ntwo\n");
}

TEST_F(PumpTest, MovesOutputToNowhere) {
  Pipe in = make_pipe();
  pump(std::move(in.read), open_file("/dev/null", O_WRONLY | O_APPEND | O_NONBLOCK));
  run(write_and_close(loop_, std::move(in.write), pattern(1'000'000)));
  wait_for_end();
}

TEST_F(PumpTest, RunDryTakesWhatIsThereAndEndsWithTheSourceStillOpen) {
  Pipe in = make_pipe(), out = make_pipe();
  write(in.write, pattern(50'000));
  Pump pump(loop_, in.read.get(), out.write.get(), Pump::BrokenSink::drop, "x");
  run(pump.run_dry());
  EXPECT_EQ(unread(in.read.get()), 0);
  EXPECT_TRUE(read(out.read, 50'000) == pattern(50'000));
}

// A socket as the sink makes the pump hold bytes that it has read and could not write.
TEST_F(PumpTest, RunDryGoesOnWhereACancelledRunWas) {
  std::string data = pattern(700'000);
  int pair[2];
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
  Pipe in = make_pipe();
  Fd reader(pair[1]);
  pump(std::move(in.read), Fd(pair[0]));
  TaskSet writing;
  writing.spawn(write_some(loop_, in.write.get(), data), "write");
  settle();
  ASSERT_FALSE(writing.empty()) << "everything is full now";
  std::string arrived;
  while (arrived.size() < data.size()) {
    tasks_.cancel();
    tasks_.spawn(writing.empty() ? pump_->run_dry() : pump_->run(), "pump");
    std::string next = read(reader, std::min<std::size_t>(30'000, data.size() - arrived.size()));
    ASSERT_FALSE(next.empty());
    arrived += next;
    settle();
  }
  EXPECT_TRUE(arrived == data);
}

TEST_F(PumpTest, RunDryWaitsForAFullSink) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  write(out.write, std::string(65536, 'x'));
  write(in.write, "last");
  pump(std::move(in.read), std::move(out.write));
  settle();
  tasks_.cancel();
  tasks_.spawn(pump_->run_dry(), "dry");
  settle();
  EXPECT_FALSE(ended());
  read(out.read, 65536);
  EXPECT_EQ(read(out.read, 4), "last");
  wait_for_end();
}

TEST_F(PumpTest, DestroyedWhileItWaitsForEitherSide) {
  for (bool full : {false, true}) {
    Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
    if (full) write(out.write, std::string(65536, 'x'));
    if (full) write(in.write, "data");
    pump(std::move(in.read), std::move(out.write));
    settle();
    streams_gone();
    settle();
  }
}

// A child that writes as fast as it can, into a sink that takes everything.
TEST_F(PumpTest, AtFullSpeedLeavesTheLoopToOthers) {
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

// Each packet is a step, and all of them are there from the beginning.
TEST_F(PumpTest, WithMuchToDoLetsOthersInBetween) {
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
