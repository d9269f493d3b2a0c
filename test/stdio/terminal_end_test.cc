// SPDX-License-Identifier: Apache-2.0
// Terminals that the runtime does not send, and the end of terminals.
#include "terminal_fixture.h"

namespace thinshim {
namespace {

using namespace test;

// --- What goes wrong

TEST_F(TerminalTest, ARuntimeThatSendsNoTerminalFailsTheStart) {
  make_io();
  connect_to(io_->console_socket().value());
  EXPECT_NE(attach_failure().find("no descriptor"), std::string::npos);
  io_->process_exited();
  finish();
}

TEST_F(TerminalTest, ADescriptorThatIsNoTerminalFailsTheStart) {
  make_io();
  {
    Fd null = open_file("/dev/null", O_RDWR);
    send_fds(connect_to(io_->console_socket().value()), "x", {null.get()});
  }
  EXPECT_NE(attach_failure().find("ioctl TIOCGPTPEER"), std::string::npos);
  io_->process_exited();
}

TEST_F(TerminalTest, CancellingBeforeTheTerminalArrivesLeaksNothing) {
  make_io();
  {
    Task<> attaching = io_->attach();
    EXPECT_FALSE(attaching.start(nullptr));
    settle();
    io_->process_exited();
  }
  io_.reset();
}

TEST_F(TerminalTest, CancellingWithASilentRuntimeLeaksNothing) {
  make_io();
  Fd runtime = connect_to(io_->console_socket().value());
  {
    Task<> attaching = io_->attach();
    EXPECT_FALSE(attaching.start(nullptr));
    settle();
  }
  finish();
}

TEST_F(TerminalTest, CanBeDestroyedAtAnyTime) {
  start();
  io_.reset();
  start();
  TaskSet all;
  all.spawn(write_some(loop_, client_in_.get(), pattern(300'000)), "client");
  settle();
  io_.reset();
  all.cancel();
  start();
  client_out_.reset();
  all.spawn(write_some(loop_, terminal_.slave.get(), pattern(300'000)), "process");
  settle();
  all.cancel();
  io_->process_exited();  // drains into a full fifo
  settle();
  io_.reset();
}

// --- The end

TEST_F(TerminalTest, FinishIsBoundedAndEndsTheClientsRead) {
  start();
  client_out_.reset();
  TaskSet process;
  process.spawn(write_some(loop_, terminal_.slave.get(), pattern(300'000)), "process");
  settle();
  process.cancel();
  io_->process_exited();
  std::uint64_t begin = loop_.now();
  client_out_ = open_reader(streams_.out);
  std::string arrived = read(client_out_, 1000);
  Fd noisy_child = terminal_.slave.duplicate();
  finish(30ms);
  EXPECT_LT(loop_.now() - begin, 5000u);
  arrived += read_to_end(client_out_);
  EXPECT_TRUE(arrived == pattern(300'000).substr(0, arrived.size()));
}

// A left-over child writes endlessly, so the terminal is never empty.
TEST_F(TerminalTest, FinishIsBoundedWithANoisyChildAtTheTerminal) {
  run_process("stty raw -echo; trap '' HUP; yes & echo; exit");
  TaskSet watching, reading;
  watching.spawn(process_->exited(loop_), "exit");
  Fd nowhere = open_file("/dev/null", O_WRONLY);
  Pump draining(loop_, client_out_.get(), nowhere.get(), Pump::BrokenSink::drop, "client");
  reading.spawn(draining.run(), "client");
  run(watching.wait_empty());
  io_->process_exited();
  std::uint64_t begin = loop_.now();
  finish(100ms);
  EXPECT_LT(loop_.now() - begin, 5000u);
  run(reading.wait_empty());  // the client sees the end
}

// The client's fifo is full and the terminal empty: the pump holds the last bytes.
TEST_F(TerminalTest, FinishWaitsForTheLastPieceWhileTheClientReads) {
  keep_pipes_small();
  start();
  const std::string all = fill_fifo();
  io_->process_exited();
  TaskSet deletion;
  deletion.spawn(io_->finish(30ms, kTestTimeout), "finish");
  loop_.run(pass_time(loop_, 100ms));
  EXPECT_FALSE(deletion.empty());
  EXPECT_TRUE(read_to_end(client_out_) == all);
  run(deletion.wait_empty());
}

TEST_F(TerminalTest, FinishLogsHowMuchItTruncates) {
  keep_pipes_small();
  keep_log();
  start();
  const std::string all = fill_fifo();
  io_->process_exited();
  finish(30ms);
  const std::string arrived = read_to_end(client_out_), log = logged();
  EXPECT_LT(arrived.size(), all.size());
  EXPECT_NE(
      log.find(
          "output was truncated: the client did not read it in time\" stream=\"terminal of c1\" "
          "bytes=" +
          std::to_string(all.size() - arrived.size())),
      std::string::npos)
      << log;
}

TEST_F(TerminalTest, FinishHangsUpTheTerminal) {
  start();
  io_->process_exited();
  finish();
  EXPECT_EQ(read_to_end(client_out_), "");
  char byte;
  EXPECT_LE(::read(terminal_.slave.get(), &byte, 1), 0);
  EXPECT_EQ(::write(terminal_.slave.get(), "x", 1), -1);
  EXPECT_EQ(errno, EIO);
}

TEST_F(TerminalTest, FinishClosesEverything) {
  start();
  streams_gone();
  std::size_t before = open_descriptors();
  start();
  io_->process_exited();
  finish();
  terminal_ = {};
  client_in_.reset();
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace thinshim
