// SPDX-License-Identifier: Apache-2.0
#include "stdio/process_io.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <memory>

#include "process_io_fixture.h"

namespace thinshim {
namespace {

using namespace test;

// --- Combinations of streams

struct Subset {
  bool in, out, err;
};
class ProcessIoWith : public ProcessIoTest, public testing::WithParamInterface<Subset> {};

TEST_P(ProcessIoWith, SomeStreamsOnly) {
  auto [in, out, err] = GetParam();
  Streams streams;
  if (in) streams.in = make_fifo("in");
  if (out) streams.out = make_fifo("out");
  if (err) streams.err = make_fifo("err");
  make_io(streams);
  Fd client_in, client_out, client_err;
  if (out) client_out = open_reader(streams.out);
  if (err) client_err = open_reader(streams.err);
  start();
  EXPECT_FALSE(io_->console_socket());
  EXPECT_EQ(static_cast<bool>(in_), in);
  EXPECT_EQ(static_cast<bool>(out_), out);
  EXPECT_EQ(static_cast<bool>(err_), err);
  if (in) {
    client_in = open_writer(streams.in);
    write(client_in, "to the process");
    EXPECT_EQ(read(in_, 14), "to the process");
  }
  if (out) {
    write(out_, "output");
    EXPECT_EQ(read(client_out, 6), "output");
  }
  if (err) {
    write(err_, "errors");
    EXPECT_EQ(read(client_err, 6), "errors");
  }
  process_ends();
  finish();
  EXPECT_TRUE(!out || at_end(client_out));
  EXPECT_TRUE(!err || at_end(client_err));
}

INSTANTIATE_TEST_SUITE_P(ProcessIo, ProcessIoWith,
                         testing::Values(Subset{false, false, false}, Subset{true, false, false},
                                         Subset{false, true, false}, Subset{false, false, true},
                                         Subset{true, true, false}, Subset{true, false, true},
                                         Subset{false, true, true}, Subset{true, true, true}),
                         [](const auto& test) {
                           return std::string("_") + (test.param.in ? "in" : "") +
                                  (test.param.out ? "Out" : "") + (test.param.err ? "Err" : "");
                         });

TEST_F(ProcessIoTest, DescriptorsOfTheRuntimeAreClosedByAttach) {
  start({make_fifo("in"), make_fifo("out"), make_fifo("err")});
  EXPECT_EQ(io_->runtime_fds(), (std::vector<int>{-1, -1, -1}));
}

TEST_F(ProcessIoTest, PipesBelongToTheContainersUser) {
  make_io({make_fifo("in"), make_fifo("out"), make_fifo("err")}, 100000, 100001);
  for (int fd : io_->runtime_fds()) {
    struct stat status{};
    ASSERT_EQ(::fstat(fd, &status), 0);
    EXPECT_EQ(status.st_uid, 100000u);
    EXPECT_EQ(status.st_gid, 100001u);
  }
}

// Most programs do not expect O_NONBLOCK.
TEST_F(ProcessIoTest, TheProcessGetsBlockingDescriptors) {
  std::string file = dir_ / "input";
  write_file(file, "text", 0600);
  for (const std::string& in : {make_fifo("in"), file, std::string("/dev/zero")}) {
    start({in, make_fifo("out" + std::to_string(in.size())), ""});
    EXPECT_FALSE(::fcntl(in_.get(), F_GETFL) & O_NONBLOCK) << in;
    EXPECT_FALSE(::fcntl(out_.get(), F_GETFL) & O_NONBLOCK);
    streams_gone();
  }
}

// --- Errors

TEST_F(ProcessIoTest, MissingFifosAreReported) {
  std::string fifo = make_fifo("there"), missing = dir_ / "missing";
  const std::string reason = "no such file or directory";
  const std::string in = "containerd-shim: opening " + missing + " failed: " + reason;
  const std::string out =
      "containerd-shim: opening file \"" + missing + "\" failed: open " + missing + ": " + reason;
  EXPECT_EQ(failure({missing, fifo, fifo}), in);
  EXPECT_EQ(failure({fifo, missing, fifo}), out);
  EXPECT_EQ(failure({fifo, fifo, missing}), out);
  EXPECT_EQ(failure({missing, fifo, "", true}), in);
  EXPECT_EQ(failure({fifo, missing, "", true}), out);
}

TEST_F(ProcessIoTest, UnknownSchemesAreReported) {
  EXPECT_EQ(failure({"", "tape:///dev/st0", ""}), "unknown STDIO scheme tape");
  EXPECT_EQ(failure({"", "", "://x"}), "unknown STDIO scheme ");
}

TEST_F(ProcessIoTest, DirectoriesAreRefusedAsOutput) {
  EXPECT_NE(failure({"", dir_.path(), ""}).find("is a directory"), std::string::npos);
}

// A thread replaces the fifo by a file and back all the time: the opened file counts.
TEST_F(ProcessIoTest, AFifoMayBeSwappedForAFileAtAnyMoment) {
  std::string fifo = make_fifo("fifo"), file = dir_ / "file";
  write_file(file, "as it was", 0600);
  struct stat client{}, process{};
  ASSERT_EQ(::stat(fifo.c_str(), &client), 0);
  pid_t swapper = check(::fork(), "fork");
  if (swapper == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::renameat2(AT_FDCWD, fifo.c_str(), AT_FDCWD, file.c_str(), RENAME_EXCHANGE);
  }
  const std::string no_reader = "open " + fifo + ": no such device or address";
  std::string problem;
  for (int round = 0; round < 2000 && problem.empty(); ++round) {
    try {
      start({fifo, fifo, ""});
      ASSERT_EQ(::fstat(in_.get(), &process), 0);
      if (process.st_ino == client.st_ino) problem = "the process was given the client's fifo";
    } catch (const Error& error) {
      // The log file process opens a file by its path, which may be a fifo by then.
      if (error.errnum() != 0 || error.what() != no_reader) problem = error.what();
    }
    streams_gone();
  }
  ::kill(swapper, SIGKILL);
  ::waitpid(swapper, nullptr, 0);
  EXPECT_EQ(problem, "");
}

// --- The end

TEST_F(ProcessIoTest, FinishWaitsForUnwrittenOutput) {
  keep_pipes_small();
  Streams streams{"", make_fifo("out"), ""};
  make_io(streams);
  Fd client = open_reader(streams.out);
  start();
  std::string data = pattern(130'000);
  TaskSet process;
  process.spawn(write_and_close(loop_, std::move(out_), data), "process");
  settle();
  process_ends();
  TaskSet deletion;
  deletion.spawn(io_->finish(kTestTimeout), "finish");
  settle();
  EXPECT_FALSE(deletion.empty());
  EXPECT_TRUE(read_to_end(client) == data);
  run(deletion.wait_empty());
}

TEST_F(ProcessIoTest, FinishIsBoundedAndEndsTheClientsRead) {
  keep_log();
  Streams streams{"", make_fifo("out"), make_fifo("err")};
  make_io(streams);
  Fd client_out = open_reader(streams.out), client_err = open_reader(streams.err);
  start();
  write(out_, "before");
  settle();
  Fd held_by_a_child = out_.duplicate();
  process_ends();
  std::uint64_t begin = loop_.now();
  finish(50ms);
  EXPECT_GE(loop_.now() - begin, 50u);
  EXPECT_EQ(read_to_end(client_out), "before");
  EXPECT_EQ(read_to_end(client_err), "");
  EXPECT_EQ(::write(held_by_a_child.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_NE(logged().find(
                "output was closed while a process still holds it open\" stream=\"stdout of c1\""),
            std::string::npos);
}

TEST_F(ProcessIoTest, FinishDoesNotWaitForAReader) {
  Streams streams{"", make_fifo("out"), ""};
  start(streams);
  write(out_, "unheard");
  process_ends();
  std::uint64_t begin = loop_.now();
  finish();
  EXPECT_LT(loop_.now() - begin, 5000u);
}

TEST_F(ProcessIoTest, FinishClosesEverything) {
  Streams streams{make_fifo("in"), make_fifo("out"), make_fifo("err")};
  std::size_t before = open_descriptors();
  start(streams);
  process_ends();
  finish();
  EXPECT_EQ(open_descriptors(), before);
  finish();  // again
}

TEST_F(ProcessIoTest, FinishOfAProcessThatNeverStarted) {
  make_io({make_fifo("in"), make_fifo("out"), ""});
  finish();
}

TEST_F(ProcessIoTest, CanBeDestroyedAtAnyTime) {
  Streams streams{make_fifo("in"), make_fifo("out"), make_fifo("err")};
  make_io(streams);
  streams_gone();
  start(streams);
  streams_gone();
  start(streams);
  TaskSet all;
  all.spawn(write_some(loop_, out_.get(), pattern(200'000)), "process");
  Fd client = open_writer(streams.in);
  all.spawn(write_some(loop_, client.get(), pattern(200'000)), "client");
  settle();
  io_.reset();
  all.cancel();
}

TEST_F(ProcessIoTest, IdleStreamsUseNoCpu) {
  Streams streams{make_fifo("in"), make_fifo("out"), make_fifo("err")};
  make_io(streams);
  Fd client_out = open_reader(streams.out);
  start();
  Fd client_in = open_writer(streams.in);
  write(out_, "x");
  write(client_in, "x");
  EXPECT_LT(busy_milliseconds(), 10);
}

TEST_F(ProcessIoTest, ResizeWithoutATerminalDoesNothing) {
  start({"", make_fifo("out"), ""});
  io_->resize(80, 24);
}

}  // namespace
}  // namespace thinshim
