// SPDX-License-Identifier: Apache-2.0
// Output that goes into files, on disks that fill up too.
#include <sched.h>
#include <sys/mount.h>

#include "process_io_fixture.h"
#include "terminal_fixture.h"

namespace thinshim {
namespace {

using namespace test;

class FileOutput : public ProcessIoTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0) << "these tests need root: " << errno_text(errno);
    ASSERT_EQ(::mount("", "/", "", MS_REC | MS_PRIVATE, ""), 0);
  }
  void TearDown() override {
    ProcessIoTest::TearDown();
    if (disk_) ::umount2((dir_ / "disk").c_str(), MNT_DETACH);
  }
  // A disk of so many pages; its root is one of them.
  void mount_disk(int pages) {
    make_directories(dir_ / "disk", 0755);
    const std::string options = "size=" + std::to_string(pages * 4) + "k";
    ASSERT_EQ(::mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0, options.c_str()), 0);
    disk_ = true;
  }
  // What leads to this file.
  static std::size_t descriptors_of(const std::string& path) {
    struct stat wanted{}, found{};
    check(::stat(path.c_str(), &wanted), "stat");
    std::size_t count = 0;
    for (int fd = 0; fd < 256; ++fd)
      if (::fstat(fd, &found) == 0 && found.st_ino == wanted.st_ino &&
          found.st_dev == wanted.st_dev)
        ++count;
    return count;
  }

 private:
  bool disk_ = false;
};

TEST_F(FileOutput, OfBothStreamsToOneFileIsOneDescriptor) {
  const std::string file = dir_ / "log", other = dir_ / "other";
  start({"", "file://" + file, "file://" + file});
  EXPECT_EQ(descriptors_of(file), 1u);
  out_.reset();
  settle();
  write(err_, "stderr goes on\n");
  process_ends();
  finish();
  EXPECT_EQ(read_file(file), "stderr goes on\n");
  start({"", "file://" + file, "file://" + other});
  write(err_, "errors\n");
  process_ends();
  finish();
  EXPECT_EQ(read_file(other), "errors\n");
  EXPECT_EQ(read_file(file), "stderr goes on\n");
}

TEST_F(FileOutput, OfATerminalIsAppended) {
  const std::string file = dir_ / "logs/terminal log";
  make_directories(dir_ / "logs", 0755);
  write_file(file, "before\n", 0600);
  make_io({"", "file://" + dir_.path() + "/logs/terminal%20log", "", true});
  TerminalPair terminal = hand_over_terminal(io_->console_socket().value());
  make_raw(terminal.slave);
  run(io_->attach());
  write(terminal.slave, "from the terminal\n");
  io_->process_exited();
  finish();
  EXPECT_EQ(read_file(file), "before\nfrom the terminal\n");
}

TEST_F(FileOutput, ToAFullDiskIsReportedOnceAndHoldsNobodyUp) {
  mount_disk(8);
  keep_log();
  const std::string file = dir_ / "disk/log";
  start({"", "file://" + file, ""});
  run(write_and_close(loop_, std::move(out_), pattern(500'000)));
  process_ends();
  finish();
  const std::string kept = read_file(file).value();
  EXPECT_GT(kept.size(), 4096u);
  EXPECT_LE(kept.size(), 32768u);
  EXPECT_TRUE(kept == pattern(500'000).substr(0, kept.size()));
  const std::string log = logged();
  const std::string report = "output is dropped";
  EXPECT_NE(log.find(report), std::string::npos) << log;
  EXPECT_EQ(log.find(report), log.rfind(report)) << log;
  EXPECT_NE(log.find("no space left on device"), std::string::npos) << log;
  EXPECT_NE(log.find("bytes=" + std::to_string(500'000 - kept.size())), std::string::npos) << log;
}

TEST_F(FileOutput, GoesOnWhenTheDiskHasRoomAgain) {
  mount_disk(8);
  const std::string file = dir_ / "disk/log";
  write_file(dir_ / "disk/garbage", std::string(16384, 'x'), 0600);
  start({"", "file://" + file, ""});
  write(out_, pattern(50'000));
  settle();
  ASSERT_EQ(unread(out_.get()), 0);
  ::unlink((dir_ / "disk/garbage").c_str());
  write(out_, "there is room again\n");
  process_ends();
  finish();
  const std::string kept = read_file(file).value();
  EXPECT_TRUE(kept.ends_with("there is room again\n")) << kept.size();
}

TEST_F(FileOutput, ThatCannotBeOpenedIsRefused) {
  write_file(dir_ / "file", "", 0600);
  EXPECT_NE(failure({"", "file://" + dir_.path() + "/file/log", ""}).find("not a directory"),
            std::string::npos);
  EXPECT_EQ(failure({"", "file://log", ""}),
            "STDIO URI \"file://log\": no absolute path: invalid argument");
}

// --- Pipes

TEST_F(FileOutput, PipesGrowOnceTheReaderIsTooSlowAndNotBefore) {
  Streams streams{"", make_fifo("out"), ""};
  ProcessIo::Settings settings{dir_.path(), "c1", 0, 0, {}, nullptr, ""};
  settings.options.pipe_size = 1 << 20;
  io_ = std::make_unique<ProcessIo>(loop_, streams, settings);
  start();
  Fd client = open_reader(streams.out);
  write(out_, "some");
  settle();
  EXPECT_EQ(::fcntl(client.get(), F_GETPIPE_SZ), 65536);
  EXPECT_EQ(::fcntl(out_.get(), F_GETPIPE_SZ), 65536);
  TaskSet process;
  process.spawn(write_some(loop_, out_.get(), pattern(2'000'000)), "process");
  run(process.wait_empty());
  EXPECT_EQ(::fcntl(client.get(), F_GETPIPE_SZ), 1 << 20);
  EXPECT_EQ(::fcntl(out_.get(), F_GETPIPE_SZ), 1 << 20);
  EXPECT_EQ(read(client, 4), "some");
  EXPECT_TRUE(read(client, 2'000'000) == pattern(2'000'000));
}

// The size is a wish: nobody may have that much (fcntl(2): EINVAL above 2 GiB, EPERM for users).
TEST_F(FileOutput, PipesThatMayNotGrowWorkAllTheSame) {
  Streams streams{"", make_fifo("out"), ""};
  ProcessIo::Settings settings{dir_.path(), "c1", 0, 0, {}, nullptr, ""};
  settings.options.pipe_size = std::size_t(1) << 31;
  io_ = std::make_unique<ProcessIo>(loop_, streams, settings);
  start();
  Fd client = open_reader(streams.out);
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), pattern(300'000)), "process");
  settle();
  EXPECT_EQ(::fcntl(client.get(), F_GETPIPE_SZ), 65536);
  EXPECT_TRUE(read_to_end(client) == pattern(300'000));
}

}  // namespace
}  // namespace thinshim
