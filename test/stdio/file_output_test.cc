// SPDX-License-Identifier: Apache-2.0
// Output to files, also on full disks.
#include "file_output_fixture.h"
#include "terminal_fixture.h"

namespace thinshim {
namespace {

using namespace test;

// --- The content of the file

TEST_F(FileOutput, IsAppendedAndDirectoriesAreCreated) {
  const std::string file = dir_ / "a/b/log";
  start({"", "file://" + file, "file://" + file});
  write(out_, "one\n");
  EXPECT_TRUE(comes_to_hold(file, "one\n")) << "before the end of the output";
  write(err_, "two\n");
  EXPECT_TRUE(comes_to_hold(file, "one\ntwo\n"));
  write(out_, "three\n");
  process_ends();
  finish();
  EXPECT_EQ(content(file), "one\ntwo\nthree\n");
  start({"", "file://" + file, ""});
  EXPECT_FALSE(err_) << "stderr has no target";
  write(out_, "four\n");
  process_ends();
  finish();
  EXPECT_EQ(content(file), "one\ntwo\nthree\nfour\n");
  struct stat status{};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST_F(FileOutput, IsAppendedBehindOtherWriters) {
  const std::string file = dir_ / "log";
  write_file(file, "before\n", 0600);
  start({"", "file://" + file, ""});
  write(out_, "one\n");
  EXPECT_TRUE(comes_to_hold(file, "before\none\n"));
  Fd other = open_file(file, O_WRONLY | O_APPEND);
  ASSERT_EQ(::write(other.get(), "other\n", 6), 6);
  write(out_, "two\n");
  process_ends();
  finish();
  EXPECT_EQ(content(file), "before\none\nother\ntwo\n");
}

TEST_F(FileOutput, MayBeGivenAsAPath) {
  const std::string file = dir_ / "log";
  write_file(file, "before\n", 0600);
  start({"", file, ""});
  write(out_, "after\n");
  process_ends();
  finish();
  EXPECT_EQ(content(file), "before\nafter\n");
}

TEST_F(FileOutput, LosesNoByteOfMuch) {
  const std::string data = pattern(3'000'000), both = dir_ / "both";
  const auto split = [&](const std::string& out, const std::string& err) {
    start({"", "file://" + out, "file://" + err});
    TaskSet process;
    process.spawn(write_and_close(loop_, std::move(out_), data), "stdout");
    process.spawn(write_and_close(loop_, std::move(err_), data), "stderr");
    run(process.wait_empty());
    process_ends();
    finish();
  };
  split(dir_ / "out", dir_ / "err");
  EXPECT_TRUE(content(dir_ / "out") == data);
  EXPECT_TRUE(content(dir_ / "err") == data);
  split(both, both);
  EXPECT_EQ(content(both).size(), 2 * data.size());
}

TEST_F(FileOutput, OfATerminalIsAppended) {
  const std::string file = dir_ / "logs/terminal log";
  make_directories(dir_ / "logs", 0755);
  write_file(file, "before\n", 0600);
  make_io({"", "file://" + dir_.path() + "/logs/terminal%20log", "", true});
  run(io_->start_loggers());
  TerminalPair terminal = hand_over_terminal(io_->console_socket().value());
  make_raw(terminal.slave);
  run(io_->attach());
  write(terminal.slave, "from the terminal\n");
  io_->process_exited();
  finish();
  EXPECT_EQ(content(file), "before\nfrom the terminal\n");
}

// --- Its process

TEST_F(FileOutput, HasOneProcessForEachFile) {
  const std::string file = "file://" + (dir_ / "log");
  start({"", file, file});
  EXPECT_EQ(writers().size(), 1u);
  out_.reset();
  settle();
  write(err_, "stderr goes on\n");
  process_ends();
  finish();
  EXPECT_EQ(content(dir_ / "log"), "stderr goes on\n");
  start({"", file, file + "2"});
  EXPECT_EQ(writers().size(), 2u);
  write(err_, "errors\n");
  process_ends();
  finish();
  EXPECT_EQ(content(dir_ / "log2"), "errors\n");
  EXPECT_EQ(content(dir_ / "log"), "stderr goes on\n");
}

TEST_F(FileOutput, HasAProcessWithItsOwnNameAndOnlyItsDescriptors) {
  const std::string file = dir_ / "log";
  Fd stray(check(::fcntl(2, F_DUPFD, 77), "dup"));  // not close-on-exec
  start({"", "file://" + file, ""});
  const int pid = writers().at(0);
  EXPECT_EQ(read_proc_file(pid, "cmdline").value_or(""),
            std::string("thinshim-log\0", 13) + file + '\0');
  EXPECT_EQ(read_proc_file(pid, "comm").value_or(""), "thinshim-log\n");
  EXPECT_EQ(read_proc_file(pid, "environ").value_or(""), "");
  std::size_t count = 0;
  const std::string descriptors = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    const int number = std::stoi(entry.path().filename());
    const std::string target = std::filesystem::read_symlink(entry.path());
    if (number < 3 || number > 5) {
      EXPECT_EQ(target, number < 3 ? "/dev/null" : file);
    }
    ++count;
  }
  EXPECT_EQ(count, 7u);
}

TEST_F(FileOutput, WhoseProcessIsKilledIsReported) {
  keep_log();
  start({"", "file://" + (dir_ / "log"), ""});
  ::kill(writers().at(0), SIGKILL);
  EXPECT_TRUE(eventually([] { return !has_children(); }));
  run(write_and_close(loop_, std::move(out_), pattern(300'000)));
  process_ends();
  finish();
  const std::string log = logged();
  EXPECT_NE(log.find("logger exited before the end of the output"), std::string::npos) << log;
  EXPECT_NE(log.find("output was lost"), std::string::npos) << log;
  EXPECT_NE(log.find("bytes=300000"), std::string::npos) << log;
}

// The shim died: its ends of the pipes are closed.
TEST_F(FileOutput, IsWrittenToTheEndWithoutTheShim) {
  disk_.emplace(dir_ / "image", dir_ / "frozen");
  const std::string file = dir_ / "frozen/log";
  start({"", "file://" + file, ""});
  disk_->freeze();
  write(out_, "last words\n");
  settle();
  streams_gone();
  loggers_.reset();
  disk_->thaw();
  EXPECT_TRUE(comes_to_hold(file, "last words\n"));
  EXPECT_TRUE(eventually([] { return !has_children(); }));
  loggers_.emplace(*reaper_, "ns1");
}

TEST_F(FileOutput, UsesNoCpuWhileIdle) {
  start({"", "file://" + (dir_ / "log"), ""});
  write(out_, "x");
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_LT(busy_milliseconds_of(writers().at(0)), 10);
}

// --- Write errors

TEST_F(FileOutput, ToAFullDiskIsReportedOnceAndBlocksNothing) {
  mount_disk(8);
  keep_log();
  const std::string file = dir_ / "disk/log";
  start({"", "file://" + file, ""});
  run(write_and_close(loop_, std::move(out_), pattern(500'000)));
  process_ends();
  finish();
  const std::string kept = content(file);
  EXPECT_GT(kept.size(), 4096u);
  EXPECT_LE(kept.size(), 32768u);
  EXPECT_TRUE(kept == pattern(500'000).substr(0, kept.size()));
  const std::string log = logged();
  const std::string report = "output is dropped";
  EXPECT_NE(log.find(report), std::string::npos) << log;
  EXPECT_EQ(log.find(report), log.rfind(report)) << log;
  EXPECT_NE(log.find("stream=\"stdout of c1\" file=" + file), std::string::npos) << log;
  EXPECT_NE(log.find("no space left on device"), std::string::npos) << log;
  EXPECT_NE(log.find("bytes=" + std::to_string(500'000 - kept.size())), std::string::npos) << log;
}

TEST_F(FileOutput, ToAFullDiskIsReportedImmediatelyForEachStream) {
  mount_disk(1);
  keep_log();
  write_file(dir_ / "disk/garbage", "x", 0600);
  const std::string file = "file://" + (dir_ / "disk/log");
  start({"", file, file});
  for (const Fd* end : {&out_, &err_}) {
    const int before = logged_size();
    write(*end, "text\n");
    EXPECT_TRUE(eventually([&] { return logged_size() > before; }));
  }
  const std::string log = logged();
  EXPECT_NE(log.find("output is dropped\" stream=\"stdout of c1\""), std::string::npos) << log;
  EXPECT_NE(log.find("output is dropped\" stream=\"stderr of c1\""), std::string::npos) << log;
}

TEST_F(FileOutput, ContinuesWhenTheDiskHasRoomAgain) {
  mount_disk(8);
  keep_log();
  const std::string file = dir_ / "disk/log";
  write_file(dir_ / "disk/garbage", std::string(16384, 'x'), 0600);
  start({"", "file://" + file, ""});
  write(out_, pattern(50'000));
  EXPECT_TRUE(eventually([&] { return logged_size() > 0; }));
  ::unlink((dir_ / "disk/garbage").c_str());
  write(out_, "there is room again\n");
  process_ends();
  finish();
  const std::string kept = content(file);
  EXPECT_TRUE(kept.ends_with("there is room again\n")) << kept.size();
}

TEST_F(FileOutput, ThatCannotBeOpenedIsRefused) {
  write_file(dir_ / "file", "", 0600);
  EXPECT_EQ(failure({"", "file://" + dir_.path() + "/file/log", ""}),
            "open " + dir_.path() + "/file/log: not a directory");
  EXPECT_EQ(failure({"", "file://" + dir_.path() + "/file/a/log", ""}),
            "mkdir " + dir_.path() + "/file/a: not a directory");
  EXPECT_EQ(failure({"", "file://" + dir_.path(), ""}), "open " + dir_.path() + ": is a directory");
  EXPECT_EQ(failure({"", "file://" + std::string(5000, 'x'), ""}).substr(0, 20),
            "STDIO URI \"file://xx");
  EXPECT_EQ(failure({"", "file:///" + std::string(300, 'x'), ""}),
            "open /" + std::string(300, 'x') + ": file name too long");
  EXPECT_EQ(failure({"", "file://log", ""}),
            "STDIO URI \"file://log\": path is not absolute: invalid argument");
}

// --- Fifos instead of files

TEST_F(FileOutput, ToAFifoBlocksNothing) {
  const std::string fifo = make_fifo("log");
  EXPECT_EQ(failure({"", "file://" + fifo, ""}), "open " + fifo + ": no such device or address");
  Fd reader = open_reader(fifo);
  start({"", "file://" + fifo, ""});
  write(out_, "text");
  EXPECT_EQ(read(reader, 4), "text");
}

TEST_F(FileOutput, ToAFifoWaitsForItsReader) {
  const std::string fifo = make_fifo("log"), data = pattern(500'000);
  Fd reader = open_reader(fifo);
  start({"", "file://" + fifo, ""});
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), data), "process");
  loop_.run(pass_time(loop_, 50ms));
  EXPECT_FALSE(process.empty());
  EXPECT_LT(busy_milliseconds(), 10);
  EXPECT_LT(busy_milliseconds_of(writers().at(0)), 10);
  EXPECT_TRUE(read_to_end(reader) == data);
  process_ends();
  finish();
}

TEST_F(FileOutput, ToAFifoIsDroppedForGoodOnceItsReaderCloses) {
  keep_log();
  const std::string fifo = make_fifo("log");
  Fd reader = open_reader(fifo);
  start({"", "file://" + fifo, ""});
  reader.reset();
  write(out_, "unheard");
  EXPECT_TRUE(eventually([&] { return logged_size() > 0; }));
  reader = open_reader(fifo);
  write(out_, "unheard too");
  process_ends();
  finish();
  EXPECT_EQ(read_to_end(reader), "");
  const std::string log = logged();
  EXPECT_NE(log.find("broken pipe"), std::string::npos) << log;
  EXPECT_NE(log.find("bytes=18"), std::string::npos) << log;
}

// The log file process blocks in poll(2) until a reader opens the fifo.
TEST_F(FileOutput, ToAFifoWithoutAReaderEndsWithSIGTERM) {
  limit_loggers({.flush = 1s});
  const std::string fifo = make_fifo("log");
  Fd reader = open_reader(fifo);
  start({"", "file://" + fifo, ""});
  run(write_and_close(loop_, std::move(out_), pattern(100'000)));
  process_ends();
  const std::uint64_t began = loop_.now();
  finish(50ms);
  loggers_end();
  EXPECT_GE(milliseconds_since(began), 1000);
  EXPECT_LT(milliseconds_since(began), 5000);
  EXPECT_TRUE(eventually([] { return !has_children(); }));
}

}  // namespace
}  // namespace thinshim
