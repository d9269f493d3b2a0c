// SPDX-License-Identifier: Apache-2.0
// Loggers that exit, and the end of their input.
#include "logger_fixture.h"

namespace thinshim {
namespace {

using namespace test;

// --- Loggers that exit before the end of the output

struct Death {
  const char* what;
  const char* script;
};
class LoggerThat : public LoggerTest, public testing::WithParamInterface<Death> {};

// Would fail if the process blocked or were killed by SIGPIPE.
TEST_P(LoggerThat, BlocksNothing) {
  keep_log();
  const std::string uri = logger(GetParam().script);
  start_with({"", uri, uri});
  for (Fd* end : {&out_, &err_}) {
    write(*end, pattern(300'000));
    EXPECT_TRUE(eventually([&] { return unread(end->get()) == 0; }));
  }
  process_ends();
  finish();
  const std::string log = logged();
  EXPECT_NE(log.find("output is dropped"), std::string::npos) << log;
  EXPECT_NE(log.find("output was lost"), std::string::npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Logger, LoggerThat,
                         testing::Values(Death{"HasDied", "exit 3"},
                                         Death{"DiesLater", "exec 5>&-; head -c 10 <&3 >/dev/null"},
                                         Death{"WasKilled", "exec 5>&-; read x <&3; kill -9 $$"},
                                         Death{"ClosesItsInputAndLives",
                                               "exec 3<&- 4<&- 5>&-; exec sleep 0.5"}),
                         [](const auto& test) { return std::string(test.param.what); });

TEST_F(LoggerTest, ThatExitsEarlyIsReportedOnce) {
  keep_log();
  start_with({"", logger("exec 5>&-; read x <&3; exit 4"), ""});
  write(out_, "x\n");
  EXPECT_TRUE(eventually([] { return !has_children(); }));
  process_ends();
  finish();
  const std::string log = logged();
  EXPECT_NE(log.find("logger exited before the end of the output"), std::string::npos) << log;
  EXPECT_NE(log.find("process=c1/e1 status=4"), std::string::npos) << log;
  EXPECT_EQ(log.find("a logger"), log.rfind("a logger")) << log;
}

// The reader of the output may be any process that holds the descriptors.
TEST_F(LoggerTest, MayPassTheOutputToAChild) {
  start_with({"", logger("exec 5>&-; (sleep 0.2; exec cat <&3 >$dir/out) & exit 0"), ""});
  loop_.run(pass_time(loop_, 50ms));
  write(out_, pattern(30'000));
  process_ends();
  EXPECT_TRUE(has_written("out", pattern(30'000)));
}

TEST_F(LoggerTest, ThatIsSlowBlocksTheProcessAndLosesNothing) {
  make_fifo("gate");
  start_with({"", logger("exec 5>&-; read gate <$dir/gate; exec cat <&3 >$dir/out"), ""});
  TaskSet process;
  const std::string data = pattern(1'000'000);
  process.spawn(write_and_close(loop_, std::move(out_), data), "process");
  settle();
  EXPECT_LT(busy_milliseconds(), 10);
  write_file(dir_ / "gate", "open\n", 0600);
  run(process.wait_empty());
  process_ends();
  finish();
  EXPECT_TRUE(written("out") == data);
}

// --- Loggers after the end of the output

TEST_F(LoggerTest, FinishWaitsForItsExit) {
  start_with({"", logger("exec 5>&-; cat <&3 >$dir/out; sleep 0.2; echo end >>$dir/out"), ""});
  write(out_, "text\n");
  process_ends();
  finish();
  EXPECT_EQ(written("out"), "text\nend\n");
}

TEST_F(LoggerTest, FinishDoesNotWaitLongerThanItsLimit) {
  make_fifo("gate");
  start_with({"", logger("exec 5>&-; cat <&3 >$dir/out; cat $dir/gate >>$dir/out"), ""});
  write(out_, "text\n");
  EXPECT_TRUE(has_written("out", "text\n"));
  process_ends();
  const std::uint64_t began = loop_.now();
  finish(50ms);
  EXPECT_LE(loop_.now() - began, 5000u) << "the timeout is 10 s";
  io_.reset();
  write_file(dir_ / "gate", "end\n", 0600);
  loggers_end();
  EXPECT_EQ(written("out"), "text\nend\n");
}

TEST_F(LoggerTest, GetsEndOfFileThoughAnOrphanHoldsTheOutput) {
  start_with({"", logger("exec 5>&-; cat <&3 >$dir/out; echo end >>$dir/out"), ""});
  write(out_, "text\n");
  Fd held_by_an_orphan = out_.duplicate();
  EXPECT_TRUE(has_written("out", "text\n"));
  process_ends();
  finish(100ms);
  EXPECT_TRUE(has_written("out", "text\nend\n"));
}

TEST_F(LoggerTest, ThatDoesNotExitGetsSigtermAndThenSigkill) {
  keep_log();
  limit_loggers({.flush = 1s, .killed = 1500ms});
  start_with({"",
              logger("trap 'echo term >>$dir/out' TERM; exec 5>&-; cat <&3 >/dev/null\n"
                     "while :; do sleep 0.02; done"),
              ""});
  process_ends();
  const std::uint64_t began = loop_.now();
  finish(100ms);
  EXPECT_TRUE(has_children()) << "finish() does not wait for it";
  loggers_end();
  EXPECT_GE(loop_.now() - began, 2490u);
  EXPECT_LE(loop_.now() - began, 10000u);
  EXPECT_EQ(written("out"), "term\n");
  const std::string log = logged();
  EXPECT_NE(log.find("sent=SIGTERM"), std::string::npos) << log;
  EXPECT_NE(log.find("sent=SIGKILL"), std::string::npos) << log;
}

// Without a deletion of the container.
TEST_F(LoggerTest, ThatDoesNotExitIsKilledBeforeTheDeletion) {
  limit_loggers({.flush = 500ms});
  start_with({"", logger("exec 5>&-; exec sleep 60"), ""});
  process_ends();
  EXPECT_TRUE(eventually([] { return !has_children(); }));
}

TEST_F(LoggerTest, ExitsIfTheStreamsWereNeverUsed) {
  make({"", logger("exec 5>&-; exec cat <&3"), ""});
  run(io_->start_loggers());
  io_.reset();
  EXPECT_TRUE(eventually([] { return !has_children(); }, 5s)) << "before it gets SIGTERM";
}

TEST_F(LoggerTest, LeavesNoDescriptorBehind) {
  const std::string uri = logger("exec 5>&-; cat <&3; cat <&4");
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 3; ++i) {
    start_with({"", uri, uri});
    process_ends();
    finish();
    EXPECT_EQ(open_descriptors(), before);
  }
}

TEST_F(LoggerTest, WithAnIdleProcessUsesNoCpu) {
  const std::string uri = logger("exec 5>&-; cat <&3; cat <&4");
  start_with({"", uri, uri});
  write(out_, "x");
  EXPECT_LT(busy_milliseconds(), 10);
}

// --- With a terminal

TEST_F(LoggerTest, GetsATerminalsOutputOnDescriptor3) {
  const std::string in = make_fifo("in");
  Fd client = open_file(in, O_RDWR);
  make({in, logger("exec 5>&-; cat <&4 >$dir/err; echo end of 4 >>$dir/err; cat <&3 >$dir/out"), "",
        true});
  run(io_->start_loggers());
  TerminalPair terminal = hand_over_terminal(io_->console_socket().value());
  make_raw(terminal.slave);
  run(io_->attach());
  EXPECT_TRUE(has_written("err", "end of 4\n"));
  write(terminal.slave, "from the terminal\n");
  EXPECT_TRUE(has_written("out", "from the terminal\n"));
  write(client, "typed");
  EXPECT_EQ(read(terminal.slave, 5), "typed");
  write(terminal.slave, "last words\n");
  terminal.slave.reset();
  io_->process_exited();
  finish();
  EXPECT_EQ(written("out"), "from the terminal\nlast words\n");
  EXPECT_FALSE(has_children());
}

TEST_F(LoggerTest, ThatExitsEarlyDoesNotEndTheTerminal) {
  make({"", logger("exit 0"), "", true});
  run(io_->start_loggers());
  TerminalPair terminal = hand_over_terminal(io_->console_socket().value());
  make_raw(terminal.slave);
  run(io_->attach());
  write(terminal.slave, pattern(300'000));
  io_->process_exited();
  finish();
}

}  // namespace
}  // namespace thinshim
