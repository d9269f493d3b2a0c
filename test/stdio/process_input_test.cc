// SPDX-License-Identifier: Apache-2.0
// Input, from the client to the process.
#include "process_io_fixture.h"

namespace thinshim {
namespace {

using namespace test;

TEST_F(ProcessIoTest, InputWrittenBeforeItsEndArrives) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  std::string data = pattern(200'000);
  TaskSet client;
  client.spawn(write_and_close(loop_, open_writer(streams.in), data), "client");
  std::string begin = read(in_, 100'000);
  io_->close_stdin();
  settle();
  io_->close_stdin();
  EXPECT_TRUE(begin + read_to_end(in_) == data);
  io_->close_stdin();
}

TEST_F(ProcessIoTest, InputMayEndBeforeTheProcessStarts) {
  Streams streams{make_fifo("in"), "", ""};
  make_io(streams);
  Fd client = open_file(streams.in, O_RDWR | O_NONBLOCK);
  write(client, "early");
  io_->close_stdin();
  start();
  client.reset();
  EXPECT_EQ(read_to_end(in_), "early");
}

TEST_F(ProcessIoTest, InputEndsWithNothingWritten) {
  start({make_fifo("in"), "", ""});
  io_->close_stdin();
  EXPECT_EQ(read_to_end(in_), "");
}

TEST_F(ProcessIoTest, InputWrittenAfterCloseStdinArrives) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  Fd client = open_writer(streams.in);
  io_->close_stdin();
  settle();
  write(client, "more");
  client.reset();
  EXPECT_EQ(read_to_end(in_), "more");
}

TEST_F(ProcessIoTest, InputDoesNotEndWhenTheClientCloses) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  for (std::string text : {"first client", "second client"}) {
    write(open_writer(streams.in), text);
    EXPECT_EQ(read(in_, text.size()), text);
    settle();
  }
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(unread(in_.get()), 0);
  io_->close_stdin();
  EXPECT_EQ(read_to_end(in_), "");
}

TEST_F(ProcessIoTest, AProcessThatDoesNotReadCausesNoCpuUse) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  std::string data = pattern(300'000);
  TaskSet client;
  client.spawn(write_and_close(loop_, open_writer(streams.in), data), "client");
  EXPECT_LT(busy_milliseconds(), 10);
  io_->close_stdin();
  EXPECT_TRUE(read_to_end(in_) == data);
}

TEST_F(ProcessIoTest, TheClientGetsEPIPEWhenTheProcessClosesItsInput) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  Fd client = open_writer(streams.in);
  in_.reset();
  settle();
  write(client, "for nobody");
  settle();
  EXPECT_EQ(::write(client.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  io_->close_stdin();
}

TEST_F(ProcessIoTest, AProcessThatClosesItsInputWhileItIsFull) {
  Streams streams{make_fifo("in"), "", ""};
  start(streams);
  Fd client = open_writer(streams.in);
  for (int i = 0; i < 40; ++i) {
    [[maybe_unused]] ssize_t n = ::write(client.get(), pattern(16'000).data(), 16'000);
    settle();
  }
  in_.reset();
  settle();
  EXPECT_EQ(::write(client.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(ProcessIoTest, InputFromAFileIsTheFileItself) {
  std::string file = dir_ / "input";
  write_file(file, "from a file", 0600);
  start({file, "", ""});
  char text[32] = {};
  EXPECT_EQ(::read(in_.get(), text, sizeof text), 11);
  EXPECT_STREQ(text, "from a file");
  io_->close_stdin();
}

}  // namespace
}  // namespace thinshim
