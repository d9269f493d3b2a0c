// SPDX-License-Identifier: Apache-2.0
// Output to files on a hung file system: write(2) blocks in the kernel, where no signal interrupts
// it.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "file_output_fixture.h"

namespace thinshim {
namespace {

using namespace test;

class FrozenFile : public FileOutput {
 protected:
  void SetUp() override {
    disk_.emplace(dir_ / "image", dir_ / "frozen");
    target_ = "file://" + file_;
  }
  // The file is open, and contains "before".
  void start_and_freeze() {
    start({"", target_, ""});
    write(out_, "before\n");
    ASSERT_TRUE(comes_to_hold(file_, "before\n"));
    disk_->freeze();
  }

  // Its write(2) blocks, so it does not read more.
  static bool writer_hangs() {
    const std::string status = read_proc_file(writers().at(0), "stat").value_or("");
    return status.find(") D ") != std::string::npos;
  }

  const std::string file_ = dir_ / "frozen/log";
  std::string target_;
};

TEST_F(FrozenFile, BlocksNothingAndGetsAllOutputLater) {
  start_and_freeze();
  const std::uint64_t began = loop_.now();
  write(out_, "meanwhile\n");
  settle();
  EXPECT_LT(busy_milliseconds(), 10);
  process_ends();
  finish(100ms);
  io_.reset();
  EXPECT_LT(milliseconds_since(began), 5000) << "the timeout is 10 s";
  EXPECT_EQ(writers().size(), 1u);
  disk_->thaw();
  loggers_end();
  EXPECT_EQ(content(file_), "before\nmeanwhile\n");
}

TEST_F(FrozenFile, BlocksTheProcessOnceThePipesAreFull) {
  start_and_freeze();
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), pattern(1'000'000)), "process");
  loop_.run(pass_time(loop_, 50ms));
  EXPECT_FALSE(process.empty());
  disk_->thaw();
  run(process.wait_empty());
  process_ends();
  finish();
  EXPECT_TRUE(content(file_) == "before\n" + pattern(1'000'000));
}

TEST_F(FrozenFile, LogsHowMuchOutputWasTruncated) {
  keep_log();
  start_and_freeze();
  TaskSet process;
  process.spawn(write_some(loop_, out_.get(), pattern(1'000'000)), "process");
  EXPECT_TRUE(eventually([] { return writer_hangs(); }));
  settle();  // the pipes are full
  process.cancel();
  const int unread_by_the_shim = unread(out_.get());
  EXPECT_GT(unread_by_the_shim, 0);
  process_ends();
  const std::uint64_t began = loop_.now();
  finish(100ms);
  EXPECT_LT(milliseconds_since(began), 5000) << "the timeout is 10 s";
  disk_->thaw();
  loggers_end();
  const std::string log = logged();
  EXPECT_NE(log.find("output was truncated: the logger did not read it in time"), std::string::npos)
      << log;
  EXPECT_NE(log.find("bytes=" + std::to_string(unread_by_the_shim)), std::string::npos) << log;
}

// chattr +i on the open file.
TEST_F(FrozenFile, IsWrittenAgainAfterTemporaryWriteErrors) {
  keep_log();
  start({"", target_, ""});
  write(out_, "before\n");
  ASSERT_TRUE(comes_to_hold(file_, "before\n"));
  const Fd file = open_file(file_, O_RDONLY);
  int flags = 0;
  check(::ioctl(file.get(), FS_IOC_GETFLAGS, &flags), "get flags");
  const int immutable = flags | FS_IMMUTABLE_FL;
  check(::ioctl(file.get(), FS_IOC_SETFLAGS, &immutable), "set flags");
  write(out_, "meanwhile\n");
  EXPECT_TRUE(eventually([&] { return logged_size() > 0; }));
  check(::ioctl(file.get(), FS_IOC_SETFLAGS, &flags), "set flags");
  write(out_, "after\n");
  process_ends();
  finish();
  EXPECT_EQ(content(file_), "before\nafter\n");
  EXPECT_NE(logged().find("operation not permitted"), std::string::npos);
}

TEST_F(FrozenFile, LosesNoOutputWhenItsProcessDoesNotExit) {
  keep_log();
  limit_loggers({.flush = 1s, .killed = 300ms});
  start_and_freeze();
  write(out_, pattern(50'000));
  process_ends();
  const std::uint64_t began = loop_.now();
  finish(50ms);
  loggers_end();
  EXPECT_GE(milliseconds_since(began), 1300);
  EXPECT_LT(milliseconds_since(began), 5000);
  EXPECT_EQ(writers().size(), 1u);
  const std::string log = logged();
  EXPECT_NE(log.find("logger did not exit after SIGTERM"), std::string::npos) << log;
  EXPECT_EQ(log.find("SIGKILL"), std::string::npos) << log;
  disk_->thaw();
  EXPECT_TRUE(comes_to_hold(file_, "before\n" + pattern(50'000)));
  EXPECT_TRUE(eventually([] { return !has_children(); }));
}

TEST_F(FrozenFile, OpeningTimesOut) {
  limit_loggers({.ready = 500ms});
  disk_->freeze();
  const std::uint64_t began = loop_.now();
  EXPECT_EQ(failure({"", target_, ""}), "open " + file_ + ": timed out after 500ms");
  EXPECT_GE(milliseconds_since(began), 490);
  EXPECT_LT(milliseconds_since(began), 5000);
}

TEST_F(FrozenFile, OpeningIsCancelledWithItsCreate) {
  disk_->freeze();
  Event stop;
  std::string failure;
  const std::uint64_t began = loop_.now();
  make_io({"", target_, ""});
  TaskSet creation;
  creation.spawn(failure_of(io_->start_loggers(&stop), failure), "start");
  loop_.run(pass_time(loop_, 100ms));
  EXPECT_FALSE(creation.empty());
  stop.set();
  run(creation.wait_empty());
  EXPECT_EQ(failure, "open " + file_ + ": cancelled");
  EXPECT_LT(milliseconds_since(began), 10000) << "the timeout is 30 s";
}

}  // namespace
}  // namespace thinshim
