// SPDX-License-Identifier: Apache-2.0
// Output, from the process to the client.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <memory>

#include "process_io_fixture.h"

namespace thinshim {
namespace {

using namespace test;

TEST_F(ProcessIoTest, OutputEndsForTheClientAfterItsLastByteAndNotBefore) {
  Streams streams{"", make_fifo("out"), ""};
  make_io(streams);
  Fd client = open_reader(streams.out);
  start();
  TaskSet process;
  std::string data = pattern(400'000);
  process.spawn(write_and_close(loop_, std::move(out_), data), "process");
  std::string begin = read(client, 1000);
  settle();
  EXPECT_TRUE(begin + read_to_end(client) == data);
  finish();
}

TEST_F(ProcessIoTest, OutputContinuesWhileDescendantsHoldIt) {
  Streams streams{"", make_fifo("out"), ""};
  make_io(streams);
  Fd client = open_reader(streams.out);
  start();
  Fd held_by_a_child = out_.duplicate();
  process_ends();
  settle();
  write(held_by_a_child, "still here");
  EXPECT_EQ(read(client, 10), "still here");
  held_by_a_child.reset();
  EXPECT_EQ(read_to_end(client), "");
}

TEST_F(ProcessIoTest, TheProcessOutlivesItsReader) {
  Streams streams{"", make_fifo("out"), ""};
  make_io(streams);
  Fd client = open_reader(streams.out);
  start();
  write(out_, "one");
  EXPECT_EQ(read(client, 3), "one");
  client.reset();
  write(out_, "two");
  settle();
  client = open_reader(streams.out);
  EXPECT_EQ(read(client, 3), "two");
  write(out_, "three");
  EXPECT_EQ(read(client, 5), "three");
}

TEST_F(ProcessIoTest, AReaderThatReopensAFullFifoMissesNothing) {
  keep_pipes_small();
  Streams streams{"", make_fifo("out"), ""};
  start(streams);
  std::string data = pattern(300'000);
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), data), "process");
  settle();
  EXPECT_FALSE(process.empty()) << "it blocks";
  EXPECT_LT(busy_milliseconds(), 10);
  Fd client = open_reader(streams.out);
  EXPECT_TRUE(read_to_end(client) == data);
}

// containerd opens its fifos without O_NONBLOCK: open(2) returns once there is a writer.
class ReaderAfterTheEnd : public ProcessIoTest {
 protected:
  std::string found_in(const std::string& fifo) {
    Pipe result = make_pipe();
    pid_t cat = ::fork();
    if (cat == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(result.write.get(), 1);
      ::execlp("cat", "cat", fifo.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    result.write.reset();
    std::string found = "nothing";
    try {
      found = read_to_end(result.read);
    } catch (const std::runtime_error&) {
      ::kill(cat, SIGKILL);
    }
    ::waitpid(cat, nullptr, 0);
    return found;
  }
};

TEST_F(ReaderAfterTheEnd, FindsTheOutputAndItsEnd) {
  Streams streams{"", make_fifo("out"), make_fifo("err")};
  start(streams);
  write(out_, "last words");
  process_ends();
  settle();
  EXPECT_EQ(found_in(streams.out), "last words");
  EXPECT_EQ(found_in(streams.err), "");
  finish();
}

// The first stream ended while the fifo had a reader, which closed it without reading.
TEST_F(ReaderAfterTheEnd, FindsTheOutputOfBothStreams) {
  const std::string fifo = make_fifo("both");
  make_io({"", fifo, fifo});
  Fd client = open_reader(fifo);
  start();
  write(out_, "out ");
  out_.reset();
  settle();
  client.reset();
  write(err_, "err");
  process_ends();
  settle();
  EXPECT_EQ(found_in(fifo), "out err");
  finish();
}

TEST_F(ProcessIoTest, WaitingForAReaderUsesHardlyAnyCpu) {
  Streams streams{"", make_fifo("out"), ""};
  start(streams);
  write(out_, "last words");
  process_ends();
  EXPECT_LT(busy_milliseconds(), 10);
}

// Execs that exited, whose output is not read, and that are not deleted.
TEST_F(ProcessIoTest, ManyFifosWithoutAReaderCauseNoWakeups) {
  options_.readers = std::make_shared<FifoReaders>(loop_);
  std::vector<std::unique_ptr<ProcessIo>> ended;
  std::vector<std::string> fifos;
  for (int i = 0; i < 20; ++i) {
    fifos.push_back(make_fifo("out" + std::to_string(i)));
    start({"", fifos.back(), ""});
    write(out_, "last words");
    process_ends();
    ended.push_back(std::move(io_));
  }
  run(pass_time(loop_, 100ms));
  const auto wake_ups = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
  };
  const long before = wake_ups();
  run(pass_time(loop_, 1500ms));
  EXPECT_LT(wake_ups() - before, 10);
  for (std::size_t i : {7u, 0u, 19u}) EXPECT_EQ(read_to_end(open_reader(fifos[i])), "last words");
}

TEST_F(ProcessIoTest, WaitsForAReaderWithoutInotify) {
  Streams streams{"", make_fifo("out"), ""};
  start(streams);
  write(out_, "last words");
  rlimit usual{};
  ::getrlimit(RLIMIT_NOFILE, &usual);
  const Fd free(check(::dup(0), "dup"));
  const rlimit none{static_cast<rlim_t>(free.get()), usual.rlim_max};  // no inotify
  ::setrlimit(RLIMIT_NOFILE, &none);
  process_ends();
  settle();
  ::setrlimit(RLIMIT_NOFILE, &usual);
  Fd client = open_reader(streams.out);
  EXPECT_EQ(read_to_end(client), "last words");
  finish();
}

TEST_F(ProcessIoTest, FinishAppliesTheLongerLimitOnlyWithAReader) {
  start({"", make_fifo("out"), ""});
  TaskSet process;
  process.spawn(write_some(loop_, out_.get(), pattern(300'000)), "process");
  settle();
  process.cancel();
  process_ends();
  const std::uint64_t began = loop_.now();
  run(io_->finish(30ms, kTestTimeout / 2));
  EXPECT_LT(loop_.now() - began, 5000u);
}

TEST_F(ProcessIoTest, OutputToDevNullAndToAFullDiskNeverBlocks) {
  start({"/dev/null", "/dev/null", "/dev/full"});
  EXPECT_TRUE(at_end(in_));
  run(write_and_close(loop_, std::move(out_), pattern(300'000)));
  run(write_and_close(loop_, std::move(err_), pattern(300'000)));
  process_ends();
  finish();
}

TEST_F(ProcessIoTest, BothStreamsMayGoToOneFifo) {
  std::string fifo = make_fifo("both");
  make_io({"", fifo, fifo});
  Fd client = open_reader(fifo);
  start();
  write(out_, "out ");
  EXPECT_EQ(read(client, 4), "out ");
  out_.reset();
  settle();
  write(err_, "err");
  err_.reset();
  EXPECT_EQ(read_to_end(client), "err");
}

// --- Pipes

TEST_F(ProcessIoTest, PipesGrowOnlyWhenTheReaderIsSlow) {
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

// Growing may fail (fcntl(2): EINVAL above 2 GiB, EPERM for users).
TEST_F(ProcessIoTest, PipesThatMayNotGrowStillWork) {
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
