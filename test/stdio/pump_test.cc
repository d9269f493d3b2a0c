// SPDX-License-Identifier: Apache-2.0
#include "stdio/pump.h"

#include <sys/socket.h>

#include <cstring>

#include "base/file.h"
#include "pump_fixture.h"

namespace thinshim {
namespace {

using namespace test;

TEST_F(PumpTest, CopiesAPipeToAFifoUntilEndOfFile) {
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

TEST_F(PumpTest, CopiesBytesWrittenBeforeItsStart) {
  Pipe pipe = make_pipe(), out = make_pipe();
  write(pipe.write, "early");
  pipe.write.reset();
  pump(std::move(pipe.read), std::move(out.write));
  wait_for_end();
  close_sink();
  EXPECT_EQ(read_to_end(out.read), "early");
}

// Bytes that this process has read (proc(5), rchar); splice(2) does not count.
std::size_t bytes_read() {
  const std::string text = read_file("/proc/self/io").value();
  return std::stoul(text.substr(std::strlen("rchar: ")));
}

TEST_F(PumpTest, SplicesFromAPipeToAFifo) {
  const std::string fifo = make_fifo("out");
  const Fd reader = open_reader(fifo);
  Pipe pipe = make_pipe();
  pump(std::move(pipe.read), fifo_sink(fifo));
  const std::string data = pattern(3'000'000);
  const std::size_t before = bytes_read();
  TaskSet writing;
  writing.spawn(write_and_close(loop_, std::move(pipe.write), data), "write");
  EXPECT_TRUE(read(reader, data.size()) == data);
  EXPECT_LT(bytes_read() - before, data.size() + 10'000) << "only the test's own reads";
  wait_for_end();
}

// Kinds of source and sink.
struct Ends {
  const char* what;
  bool socket_source;  // not spliceable to a socket
  enum { pipe, socket } sink;
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
  if (GetParam().sink == Ends::socket) {
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
  std::string arrived = read(reader, data.size());
  wait_for_end();
  EXPECT_TRUE(arrived == data) << arrived.size() << " of " << data.size() << " bytes";
}

INSTANTIATE_TEST_SUITE_P(Pump, PumpBetween,
                         testing::Values(Ends{"pipe to pipe", false, Ends::pipe},
                                         Ends{"pipe to socket", false, Ends::socket},
                                         Ends{"socket to pipe", true, Ends::pipe},
                                         Ends{"socket to socket", true, Ends::socket}),
                         [](const auto& test) {
                           std::string name = test.param.what;
                           for (char& c : name) c = c == ' ' ? '_' : c;
                           return name;
                         });

TEST_F(PumpTest, OutputForABrokenSinkIsDroppedAndReported) {
  keep_log();
  Pipe in = make_pipe();
  pump(std::move(in.read), open_file("/dev/full", O_WRONLY | O_APPEND | O_NONBLOCK));
  run(write_and_close(loop_, std::move(in.write), pattern(1'000'000)));
  wait_for_end();
  std::string log = logged();
  EXPECT_NE(log.find("output is dropped"), std::string::npos) << log;
  EXPECT_NE(log.find("stream=\"stdout of c1\""), std::string::npos) << log;
  EXPECT_NE(log.find("no space left on device"), std::string::npos) << log;
  EXPECT_EQ(log.find("dropped"), log.rfind("dropped")) << "logged once: " << log;
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

TEST_F(PumpTest, CopiesToDevNull) {
  Pipe in = make_pipe();
  pump(std::move(in.read), open_file("/dev/null", O_WRONLY | O_APPEND | O_NONBLOCK));
  run(write_and_close(loop_, std::move(in.write), pattern(1'000'000)));
  wait_for_end();
}

TEST_F(PumpTest, DrainCopiesWhatIsThereAndReturns) {
  Pipe in = make_pipe(), out = make_pipe();
  write(in.write, pattern(50'000));
  Pump pump(loop_, in.read.get(), out.write.get(), Pump::BrokenSink::drop, "x");
  run(pump.drain());
  EXPECT_EQ(unread(in.read.get()), 0);
  EXPECT_TRUE(read(out.read, 50'000) == pattern(50'000));
}

// With a socket as the sink, the pump holds bytes that it has read and not yet written.
TEST_F(PumpTest, DrainContinuesACancelledRun) {
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
    tasks_.spawn(writing.empty() ? pump_->drain() : pump_->run(), "pump");
    std::string next = read(reader, std::min<std::size_t>(30'000, data.size() - arrived.size()));
    ASSERT_FALSE(next.empty());
    arrived += next;
    settle();
  }
  EXPECT_TRUE(arrived == data);
}

TEST_F(PumpTest, DrainWaitsForAFullSink) {
  Pipe in = make_pipe(), out = make_pipe(O_NONBLOCK);
  write(out.write, std::string(65536, 'x'));
  write(in.write, "last");
  pump(std::move(in.read), std::move(out.write));
  settle();
  tasks_.cancel();
  tasks_.spawn(pump_->drain(), "dry");
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

}  // namespace
}  // namespace thinshim
