// SPDX-License-Identifier: Apache-2.0
// Logging programs: what they get, when they count as ready, how they end.
#include "stdio/logger.h"

#include "logger_fixture.h"
#include "support/hung_file_system.h"
#include "support/own_mounts.h"

namespace thinshim {
namespace {

using namespace test;

// --- What it gets

TEST_F(LoggerTest, GetsTheOutputOnDescriptors3And4) {
  const std::string uri = logger("exec 5>&-; cat <&3 >$dir/out & cat <&4 >$dir/err; wait");
  start_with({"", uri, uri});
  write(out_, "to stdout\n");
  EXPECT_TRUE(has_written("out", "to stdout\n")) << "before the end of the output";
  write(err_, "to stderr\n");
  write(out_, "more\n");
  process_ends();
  finish();
  EXPECT_EQ(written("out"), "to stdout\nmore\n") << "it exits before finish() returns";
  EXPECT_EQ(written("err"), "to stderr\n");
}

TEST_F(LoggerTest, GetsArgumentsFromTheQueryAndTwoVariables) {
  const std::string uri =
      logger(
          "for word; do echo \"$word\"; done >$dir/arguments\n"
          "tr '\\0' '\\n' </proc/$$/environ >$dir/environment\n"
          "f=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$f\" >$dir/files") +
      "?id=a%20b&-c=x+y&id=again&last";
  start_with({"", uri, uri});
  process_ends();
  finish();
  EXPECT_EQ(written("arguments"), "id\na b\n-c\nx y\nlast\n\n");
  EXPECT_EQ(written("environment"), "CONTAINER_ID=e1\nCONTAINER_NAMESPACE=ns1\n");
  EXPECT_EQ(written("files"), "/dev/null\n/dev/null\n/dev/null\n");
}

TEST_F(LoggerTest, GetsOnlyItsSixDescriptors) {
  Fd stray(check(::fcntl(2, F_DUPFD, 77), "dup"));  // not close-on-exec
  start_with({"", logger("exec ls /proc/self/fd >$dir/numbers"), ""});
  process_ends();
  finish();
  EXPECT_EQ(written("numbers"), "0\n1\n2\n3\n4\n5\n6\n") << "6 is the directory that it lists";
}

TEST_F(LoggerTest, OfStdoutOnlyGetsStderrToo) {
  start_with({"", logger("exec 5>&-; cat <&4 >$dir/err"), ""});
  ASSERT_TRUE(err_);
  write(err_, "complaint");
  process_ends();
  finish();
  EXPECT_EQ(written("err"), "complaint");
}

TEST_F(LoggerTest, OfOneStreamHasTheOtherAtEndOfFile) {
  const std::string fifo = make_fifo("client");
  make({"", fifo, logger("exec 5>&-; cat <&3 >$dir/out; cat <&4 >$dir/err")});
  Fd client = open_reader(fifo);
  run(io_->start_loggers());
  ProcessIoTest::start();
  write(out_, "out");
  write(err_, "err");
  EXPECT_EQ(read(client, 3), "out");
  EXPECT_TRUE(has_written("err", "err"));
  EXPECT_EQ(written("out"), "");
  process_ends();
  finish();
}

TEST_F(LoggerTest, IsOneForEachUri) {
  const std::string script = "exec 5>&-; cat <&3 >$dir/$1; cat <&4 >>$dir/$1";
  const std::string uri = logger(script);
  start_with({"", uri + "?a", uri + "?b"});
  write(out_, "out");
  write(err_, "err");
  process_ends();
  finish();
  EXPECT_EQ(written("a"), "out");
  EXPECT_EQ(written("b"), "err");
}

TEST_F(LoggerTest, LosesNoByteOfMuchOutput) {
  const std::string uri = logger("exec 5>&-; cat <&3 >$dir/out & cat <&4 >$dir/err; wait");
  options_.pipe_size = 1 << 20;
  start_with({"", uri, uri});
  const std::string data = pattern(5'000'000);
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), data), "stdout");
  process.spawn(write_and_close(loop_, std::move(err_), data), "stderr");
  run(process.wait_empty());
  process_ends();
  finish();
  EXPECT_TRUE(written("out") == data);
  EXPECT_TRUE(written("err") == data);
}

// --- Ready

TEST_F(LoggerTest, OfBothStreamsIsWaitedForThoughOneEndsEarlier) {
  const std::string both =
      logger("exec 5>&-; while [ ! -e $dir/go ]; do sleep 0.01; done; cat <&3 >$dir/out");
  start_with({"", both, both});
  write(out_, "unread");
  out_.reset();
  settle();
  process_ends();
  settle();
  Event enough;
  TaskSet waiting;
  const std::uint64_t began = loop_.now();
  waiting.spawn(io_->wait_until_read(kTestTimeout, kTestTimeout, enough), "wait");
  loop_.run(pass_time(loop_, 50ms));
  EXPECT_FALSE(waiting.empty()) << "after " << loop_.now() - began << " ms";
  write_file(dir_ / "go", "", 0600);
  run(waiting.wait_empty());
  EXPECT_TRUE(has_written("out", "unread"));
}

// Some loggers stop reading when the exit is published (nerdctl, pkg/logging).
TEST_F(LoggerTest, PipeDoesNotGrowIfItIsSlow) {
  ASSERT_GT(options_.pipe_size, 65536u) << "the pipe of a client would grow";
  start_with({"",
              logger("exec 5>&-; while [ ! -e $dir/go ]; do sleep 0.01; done; wc -c <&3 >$dir/n"),
              ""});
  set_nonblocking(out_.get(), true);
  const std::string chunk(4096, 'x');
  std::size_t size = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t before = size;
    while (::write(out_.get(), chunk.data(), chunk.size()) > 0) size += chunk.size();
    return size == before && size >= 2 * 65536u;
  }));
  EXPECT_EQ(::fcntl(out_.get(), F_GETPIPE_SZ), 65536);
  EXPECT_LE(size, 2 * 65536u + chunk.size());
  write_file(dir_ / "go", "", 0600);
  process_ends();
  EXPECT_TRUE(has_written("n", std::to_string(size) + "\n"));
}

TEST_F(LoggerTest, IsWaitedForUntilItIsReady) {
  make({"", logger("while [ ! -e $dir/gate ]; do sleep 0.01; done; exec 5>&-; cat <&3"), ""});
  TaskSet starting;
  starting.spawn(io_->start_loggers(), "start");
  loop_.run(pass_time(loop_, 100ms));
  EXPECT_FALSE(starting.empty());
  write_file(dir_ / "gate", "", 0600);
  run(starting.wait_empty());
  ProcessIoTest::start();
}

TEST_F(LoggerTest, IsReadyAfterAByteWithoutClosing5) {
  for (const char* scheme : {"binary", "binary-v2"}) {
    start_with({"", logger("printf x >&5; exec cat <&3", scheme), ""});
    process_ends();
    finish();
  }
}

TEST_F(LoggerTest, ThatExitsBeforeItIsReadyIsAnErrorForBinaryV2Only) {
  const std::string uri = logger("exit 3", "binary-v2");
  EXPECT_EQ(start_failure({"", uri, ""}),
            "the logger " + dir_.path() + "/logger-1 did not call ready: it exited with status 3");
  EXPECT_EQ(start_failure({"", logger("exit 3"), ""}), "none");
  const std::string closed = logger("exec 5>&-; exec sleep 60", "binary-v2");
  EXPECT_EQ(start_failure({"", closed, ""}), "the logger " + dir_.path() +
                                                 "/logger-3 did not call ready: it closed "
                                                 "descriptor 5 without writing to it");
  io_.reset();
  EXPECT_TRUE(eventually([] { return !has_children(); }, 5s)) << "killed without a delay";
}

TEST_F(LoggerTest, ThatIsNeverReadyTimesOut) {
  limit_loggers({.ready = 500ms});
  const std::uint64_t began = loop_.now();
  EXPECT_EQ(start_failure({"", logger("exec sleep 60"), ""}),
            "the logger " + dir_.path() + "/logger-1 did not call ready: timed out after 500ms");
  EXPECT_GE(loop_.now() - began, 490u);
  io_.reset();
  EXPECT_TRUE(eventually([] { return !has_children(); }, 5s)) << "killed without a delay";
}

class HungLogger : public LoggerTest {
 protected:
  static void SetUpTestSuite() { have_own_mounts(); }
  void TearDown() override {
    hung_.reset();
    LoggerTest::TearDown();
  }
  std::optional<HungFileSystem> hung_{std::in_place, dir_ / "hung"};
};

TEST_F(HungLogger, ThatNeverRunsTimesOut) {
  limit_loggers({.ready = 500ms});
  const std::uint64_t began = loop_.now();
  EXPECT_EQ(start_failure({"", "binary://" + hung_->file(), ""}),
            "the logger " + hung_->file() + " did not call ready: timed out after 500ms");
  EXPECT_LT(loop_.now() - began, 5000u);
}

TEST_F(LoggerTest, ThatIsNotReadyIsCancelledWithItsCreate) {
  Event stop;
  stop.set();
  const std::uint64_t began = loop_.now();
  EXPECT_EQ(start_failure({"", logger("exec sleep 60"), ""}, &stop),
            "the logger " + dir_.path() + "/logger-1 did not call ready: cancelled");
  EXPECT_LE(loop_.now() - began, 10000u) << "the timeout is 30 s";
}

TEST_F(LoggerTest, ThatCannotBeRunIsReported) {
  EXPECT_EQ(start_failure({"", "binary:///no/logger?a=b", ""}),
            "failed to start binary process: fork/exec /no/logger: no such file or directory");
  EXPECT_EQ(start_failure({"", "binary://" + dir_.path(), ""}),
            "failed to start binary process: fork/exec " + dir_.path() + ": permission denied");
  EXPECT_EQ(start_failure({"", "binary://sh", ""}),
            "STDIO URI \"binary://sh\": path is not absolute: invalid argument");
}

TEST_F(LoggerTest, ThatIsNotAllowedIsNotRun) {
  options_.allows_logger = [](const std::string& path) { return path == "/bin/other"; };
  EXPECT_EQ(
      start_failure({"", logger("touch $dir/ran"), ""}),
      "the logger " + dir_.path() + "/logger-1 is not in binary_logger.allow: permission denied");
  EXPECT_EQ(
      start_failure({"", "/dev/null", logger("touch $dir/ran")}),
      "the logger " + dir_.path() + "/logger-2 is not in binary_logger.allow: permission denied");
  EXPECT_EQ(written("ran"), "no file");
  EXPECT_EQ(start_failure({"", "file://" + (dir_ / "log"), ""}), "none")
      << "applies to programs only";
}

}  // namespace
}  // namespace thinshim
