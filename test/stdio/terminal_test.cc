// SPDX-License-Identifier: Apache-2.0
// Processes with a terminal.
#include "terminal_fixture.h"

namespace thinshim {
namespace {

using namespace test;

TEST_F(TerminalTest, OutputAndInputAreCopied) {
  run_process("stty raw -echo; echo ready; head -c 5; echo got it");
  EXPECT_EQ(read(client_out_, 6), "ready\n");
  write(client_in_, "hello");
  EXPECT_EQ(read(client_out_, 12), "hellogot it\n");
  wait_for_exit();
  EXPECT_EQ(read_to_end(client_out_), "");
  finish();
}

TEST_F(TerminalTest, ComesOverTheSocketNotAsDescriptors) {
  make_io();
  EXPECT_TRUE(io_->console_socket());
  EXPECT_EQ(io_->runtime_fds(), (std::vector<int>{-1, -1, -1}));
  TerminalPair pair = hand_over_terminal(*io_->console_socket());
  attach();
  EXPECT_FALSE(io_->console_socket()) << "only one terminal is accepted";
}

TEST_F(TerminalTest, ResizingReachesTheProcess) {
  run_process(
      "stty raw -echo; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done");
  EXPECT_EQ(read(client_out_, 6), "ready\n");
  io_->resize(132, 43);
  EXPECT_EQ(read(client_out_, 7), "43 132\n");
  wait_for_exit();
  io_->resize(80, 24);  // the terminal is closed
  finish();
}

TEST_F(TerminalTest, ResizingBeforeThereIsATerminalDoesNothing) {
  make_io();
  io_->resize(80, 24);
}

TEST_F(TerminalTest, OutputIsDeliveredAtTheExitThoughOthersHoldTheTerminal) {
  start();
  Fd held_by_a_child = terminal_.slave.duplicate();
  std::string data = pattern(100'000);
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(terminal_.slave), data), "process");
  std::string arrived = read(client_out_, 60'000);
  run(process.wait_empty());
  // The last part is in the terminal and in the full fifo.
  io_->process_exited();
  arrived += read_to_end(client_out_);
  EXPECT_TRUE(arrived == data) << arrived.size();
  finish();
}

// The kernel passes written bytes to the master asynchronously, in a work queue.
TEST_F(TerminalTest, OutputWrittenJustBeforeTheExitIsDelivered) {
  start();
  Fd held_by_a_child = terminal_.slave.duplicate();
  settle();
  std::string data = pattern(4000);
  ASSERT_EQ(::write(terminal_.slave.get(), data.data(), data.size()), 4000);
  terminal_.slave.reset();
  io_->process_exited();
  EXPECT_TRUE(read_to_end(client_out_) == data);
}

TEST_F(TerminalTest, OutputOfARealProcessIsDeliveredToTheLastByte) {
  run_process("stty -opost; sleep 60 & echo $!; seq 1 20000; exit 0");
  std::string numbers;
  for (int i = 1; i <= 20000; ++i) numbers += std::to_string(i) + "\n";
  TaskSet watching;
  watching.spawn(process_->exited(loop_), "exit");
  std::string arrived = read(client_out_, 80'000);
  run(watching.wait_empty());
  io_->process_exited();
  arrived += read_to_end(client_out_);
  EXPECT_TRUE(arrived.substr(arrived.find('\n') + 1) == numbers) << arrived.size();
  ::kill(std::atoi(arrived.c_str()), SIGKILL);
  finish();
}

TEST_F(TerminalTest, OutputIsDeliveredIfTheProcessExitsBeforeTheTerminalArrives) {
  make_io();
  {
    TerminalPair pair = hand_over_terminal(io_->console_socket().value());
    make_raw(pair.slave);
    ASSERT_EQ(::write(pair.slave.get(), "last words", 10), 10);
  }
  io_->process_exited();
  attach();
  EXPECT_EQ(read_to_end(client_out_), "last words");
  finish();
}

TEST_F(TerminalTest, OutputEndsWithTheProcessThoughAnotherHoldsTheTerminal) {
  make_io();
  terminal_ = hand_over_terminal(io_->console_socket().value());
  io_->process_exited();
  attach();
  EXPECT_EQ(read_to_end(client_out_), "");
  std::uint64_t begin = loop_.now();
  finish();
  EXPECT_LT(loop_.now() - begin, 5000u);
}

// systemd closes and reopens its console repeatedly.
TEST_F(TerminalTest, TheProcessMayReopenItsTerminal) {
  start();
  for (int round = 0; round < 3; ++round) {
    write(terminal_.slave, "before");
    terminal_.slave.reset();
    settle();
    EXPECT_EQ(read(client_out_, 6), "before");
    EXPECT_LT(busy_milliseconds(), 10) << "while it is closed";
    terminal_.slave = open_file(terminal_.name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    write(terminal_.slave, "after");
    EXPECT_EQ(read(client_out_, 5), "after");
    write(client_in_, "input");
    EXPECT_EQ(read(terminal_.slave, 5), "input");
  }
}

// As getty does with vhangup(2), which invalidates all descriptors of the slave, also the shim's.
TEST_F(TerminalTest, TheProcessMayHangUpAndReopenItsTerminal) {
  run_process(
      "stty raw -echo; tty=$(tty); trap '' HUP; echo before; head -c 1;"
      "perl -e 'ioctl(STDIN, 0x5437, 0)';"
      "exec <$tty >$tty; stty raw -echo; echo after; head -c 5; echo .; cat");
  // A hang-up discards unread bytes, so the process waits for a signal from the test.
  EXPECT_EQ(read(client_out_, 7), "before\n");
  write(client_in_, " ");
  std::string text;
  while (text.find("after\n") == std::string::npos) {
    std::string next = read(client_out_, 1);
    ASSERT_FALSE(next.empty()) << text;
    text += next;
  }
  EXPECT_LT(busy_milliseconds(), 10);
  write(client_in_, "input");
  EXPECT_EQ(read(client_out_, 7), "input.\n");
}

TEST_F(TerminalTest, TheEndOfInputFlushesAnUnfinishedLine) {
  run_process("stty -echo; echo ready; cat; echo end");
  EXPECT_EQ(read(client_out_, 7), "ready\r\n");
  write(client_in_, "one\ntwo");
  client_in_.reset();
  io_->close_stdin();
  EXPECT_EQ(read(client_out_, 13), "one\r\ntwoend\r\n");
  wait_for_exit();
  io_->close_stdin();
}

TEST_F(TerminalTest, TheEndOfInputSendsNothingInRawMode) {
  make_io();
  terminal_ = hand_over_terminal(io_->console_socket().value());
  termios settings{};
  ASSERT_EQ(::tcgetattr(terminal_.slave.get(), &settings), 0);
  ::cfmakeraw(&settings);
  ASSERT_EQ(::tcsetattr(terminal_.slave.get(), TCSANOW, &settings), 0);
  attach();
  write(client_in_, "abc");
  client_in_.reset();
  io_->close_stdin();
  EXPECT_EQ(read(terminal_.slave, 3), "abc");
  EXPECT_LT(busy_milliseconds(), 10);
  set_nonblocking(terminal_.slave.get(), true);
  char more;
  EXPECT_EQ(::read(terminal_.slave.get(), &more, 1), -1) << "got " << int{more};
}

TEST_F(TerminalTest, TheEndOfInputMayComeBeforeTheProcess) {
  make_io();
  write(client_in_, "line\n");
  io_->close_stdin();
  process_.emplace(io_->console_socket().value(), "stty -echo; cat; echo end");
  run(io_->attach());
  client_in_.reset();
  std::string text = read(client_out_, 6);
  while (text.find("end\r\n") == std::string::npos) {
    std::string next = read(client_out_, 1);
    ASSERT_FALSE(next.empty()) << text;
    text += next;
  }
  EXPECT_NE(text.find("line"), std::string::npos) << text;
}

// A full terminal does not accept the end-of-file character either.
TEST_F(TerminalTest, TheEndOfInputWaitsForAProcessThatReadsLate) {
  make_io();
  terminal_ = hand_over_terminal(io_->console_socket().value());
  termios settings{};
  ASSERT_EQ(::tcgetattr(terminal_.slave.get(), &settings), 0);
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ASSERT_EQ(::tcsetattr(terminal_.slave.get(), TCSANOW, &settings), 0);
  attach();
  std::string data = pattern(300'000) + "\n";
  TaskSet client;
  client.spawn(write_and_close(loop_, std::move(client_in_), data), "client");
  io_->close_stdin();
  EXPECT_LT(busy_milliseconds(), 10) << "with a full terminal";
  std::string arrived = read(terminal_.slave, 200'000);
  EXPECT_LT(busy_milliseconds(), 10);
  arrived += read_to_end(terminal_.slave);
  EXPECT_TRUE(arrived == data) << arrived.size() << " of " << data.size();
}

TEST_F(TerminalTest, InputDoesNotEndWhenTheClientCloses) {
  start();
  write(client_in_, "one");
  EXPECT_EQ(read(terminal_.slave, 3), "one");
  client_in_.reset();
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_EQ(unread(terminal_.slave.get()), 0);
  client_in_ = open_writer(streams_.in);
  write(client_in_, "two");
  EXPECT_EQ(read(terminal_.slave, 3), "two");
}

TEST_F(TerminalTest, AReaderThatReopensTheFifoMissesNothing) {
  keep_pipes_small();
  start();
  client_out_.reset();
  std::string data = pattern(200'000);
  TaskSet process;
  process.spawn(write_some(loop_, terminal_.slave.get(), data), "process");
  EXPECT_LT(busy_milliseconds(), 10) << "with everything full";
  EXPECT_FALSE(process.empty());
  write(client_in_, "input still passes");
  Fd slave = open_file(terminal_.name, O_RDWR | O_NOCTTY | O_NONBLOCK);
  EXPECT_EQ(read(slave, 18), "input still passes");
  client_out_ = open_reader(streams_.out);
  EXPECT_TRUE(read(client_out_, data.size()) == data);
}

TEST_F(TerminalTest, WithoutATargetOutputIsDropped) {
  start(false);
  write(terminal_.slave, pattern(300'000));
  write(client_in_, "input");
  EXPECT_EQ(read(terminal_.slave, 5), "input");
}

TEST_F(TerminalTest, OutputMayGoToAFile) {
  std::string file = dir_ / "log";
  streams_ = {make_fifo("in"), "file://" + file, "", true};
  start();
  write(terminal_.slave, "to the file");
  io_->process_exited();
  finish();
  EXPECT_EQ(read_file(file), "to the file");
}

TEST_F(TerminalTest, InputThatIsNotAFifoIsRefused) {
  write_file(dir_ / "file", "", 0600);
  streams_ = {dir_ / "file", make_fifo("out"), "", true};
  EXPECT_THROW(make_io(), Error);
}

TEST_F(TerminalTest, IdleTerminalsUseNoCpu) {
  start();
  write(terminal_.slave, "x");
  write(client_in_, "x");
  EXPECT_LT(busy_milliseconds(), 10);
}

// Both directions share one open file: the events of one must not wake the other.
TEST_F(TerminalTest, BothDirectionsAtOnceLoseNothing) {
  start();
  std::string down = pattern(150'000), up = pattern(170'000);
  TaskSet writing;
  writing.spawn(write_some(loop_, terminal_.slave.get(), up), "process");
  writing.spawn(write_some(loop_, client_in_.get(), down), "client");
  // The slave is written to by one task here, and so read through a copy of it.
  Fd slave = open_file(terminal_.name, O_RDWR | O_NOCTTY | O_NONBLOCK);
  EXPECT_TRUE(read(slave, down.size()) == down);
  EXPECT_TRUE(read(client_out_, up.size()) == up);
  run(writing.wait_empty());
}

}  // namespace
}  // namespace thinshim
