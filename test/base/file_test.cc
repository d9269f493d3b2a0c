// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;

TEST(File, ReadsBackWhatWasWritten) {
  TempDir dir;
  std::string content(10000, 'x');
  write_file(dir / "f", "longer at first", 0600);
  write_file(dir / "f", content, 0600);
  EXPECT_EQ(read_file(dir / "f"), content);
}

TEST(File, MissingFileIsAnOutcome) {
  TempDir dir;
  EXPECT_EQ(read_file(dir / "none"), std::nullopt);
  EXPECT_EQ(read_pid_file(dir / "none"), std::nullopt);
}

TEST(File, RefusesMoreThanTheLimit) {
  TempDir dir;
  write_file(dir / "f", std::string(11, 'x'), 0600);
  EXPECT_EQ(read_file(dir / "f", 11)->size(), 11u);
  EXPECT_THROW(read_file(dir / "f", 10), Error);
}

TEST(File, ReadingAFifoWithoutAWriterDoesNotBlock) {
  TempDir dir;
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_file(dir / "fifo"), "");
}

TEST(File, IsNotReachedThroughALink) {
  TempDir directory;
  const std::string file = directory / "file", link = directory / "link";
  write_file(file, "content", 0600);
  ASSERT_EQ(::symlink(file.c_str(), link.c_str()), 0);
  EXPECT_THROW(read_file(link), Error);
  EXPECT_THROW(write_file(link, "other", 0600), Error);
  EXPECT_EQ(read_file(link, 100, Links::follow), "content");
}

TEST(File, ThatCannotBeReadIsNotMissing) {
  TempDir directory;
  const std::string loop = directory / "loop", below = loop + "/name";
  ASSERT_EQ(::symlink(loop.c_str(), loop.c_str()), 0);
  EXPECT_THROW(read_link(below), Error);
  EXPECT_THROW(real_path(loop), Error);
  EXPECT_THROW(is_same_file(below, directory.path()), Error);
  EXPECT_THROW(read_file(below), Error);
  EXPECT_THROW(entries_of(loop), Error);
  EXPECT_TRUE(may_exist(below));
}

TEST(File, ThatIsMissingIsNoError) {
  TempDir directory;
  const std::string file = directory / "file", none = directory / "none";
  write_file(file, "", 0600);
  for (const std::string& name : {none, file + "/below", none + "/below"}) {
    EXPECT_EQ(read_link(name), std::nullopt);
    EXPECT_EQ(real_path(name), std::nullopt);
    EXPECT_FALSE(is_same_file(file, name));
    EXPECT_FALSE(may_exist(name));
    EXPECT_TRUE(entries_of(name).empty());
  }
  EXPECT_EQ(read_link(file), std::nullopt) << "is no link";
  EXPECT_EQ(read_link("/proc/self/cwd"), working_directory());
  EXPECT_EQ(real_path("/proc/self/cwd"), working_directory());
}

TEST(PidFile, HoldsOnePositiveNumber) {
  TempDir dir;
  for (auto [text, pid] : {std::pair{"1", 1}, {"4194304", 4194304}, {"77\n", 77}}) {
    write_file(dir / "pid", text, 0600);
    EXPECT_EQ(read_pid_file(dir / "pid"), pid) << text;
  }
  for (const char* text : {"", "0", "-1", "x", "1 2", "99999999999"}) {
    write_file(dir / "pid", text, 0600);
    EXPECT_THROW(read_pid_file(dir / "pid"), Error) << text;
  }
}

TEST(Path, IsTakenApart) {
  EXPECT_EQ(join_path("/a", "b"), "/a/b");
  EXPECT_EQ(join_path("/a/", "b"), "/a/b");
  EXPECT_EQ(directory_of("/a/b"), "/a");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a"), ".");
  EXPECT_EQ(base_name("/a/b"), "b");
}

TEST(Directories, AreMadeWithTheirParentsAndKeptWhereTheyExist) {
  TempDir dir;
  make_directories(dir / "a/b/c", 0700);
  make_directories(dir / "a/b/c", 0700);
  write_file(dir / "a/b/c/f", "", 0600);
  EXPECT_THROW(make_directories(dir / "a/b/c/f/g", 0700), Error);
}

TEST(Fd, MovesItsOwnership) {
  Pipe pipe = make_pipe();
  int number = pipe.read.get();
  Fd moved = std::move(pipe.read);
  EXPECT_EQ(moved.get(), number);
  EXPECT_FALSE(pipe.read);
  moved.reset();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(Fd, IsCloseOnExec) {
  Pipe pipe = make_pipe();
  EXPECT_TRUE(fcntl(pipe.write.get(), F_GETFD) & FD_CLOEXEC);
  Fd copy = pipe.write.duplicate();
  EXPECT_TRUE(fcntl(copy.get(), F_GETFD) & FD_CLOEXEC);
}

}  // namespace
}  // namespace thinshim
