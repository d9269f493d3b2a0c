// SPDX-License-Identifier: Apache-2.0
// Input and output of real containers that `ctr` cannot test.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Stdio : public ShimTest {
 protected:
  void SetUp() override {
    ShimTest::SetUp();
    for (const char* name : {"in", "out", "err"}) make_fifo(name);
  }
  fs::path fifo(const std::string& name) const { return directory_ / name; }
  Fd reader(const std::string& name) const { return open_file(fifo(name), O_RDONLY | O_NONBLOCK); }
  api::CreateTaskRequest request_with(const std::string& streams) const {
    api::CreateTaskRequest request = create_request("c1");
    if (streams.find('i') != std::string::npos) request.set_stdin(fifo("in"));
    if (streams.find('o') != std::string::npos) request.set_stdout(fifo("out"));
    if (streams.find('e') != std::string::npos) request.set_stderr(fifo("err"));
    return request;
  }
  std::unique_ptr<TaskCalls> start_running(const std::string& shell) {
    ContainerConfig config;
    config.args = {"/bin/sh", "-c", shell};
    return start_shim("c1", config);
  }
  void write_to(const std::string& name, const std::string& text) const {
    Fd writer = open_file(fifo(name), O_WRONLY);
    ASSERT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Waits until it has read `size` bytes.
  std::string read_until(TaskCalls& shim, const Fd& fd, const std::string& wanted) const {
    std::string text;
    shim.until([&] {
      char chunk[4096];
      for (ssize_t n; (n = ::read(fd.get(), chunk, sizeof chunk)) > 0;)
        text.append(chunk, static_cast<std::size_t>(n));
      return text.find(wanted) != std::string::npos;
    });
    return text;
  }
};

// The stock shim refuses some of these combinations.
TEST_F(Stdio, MayBeAnySubsetOfTheStreams) {
  auto shim = start_running("cat; echo out; echo err >&2");
  for (int mask = 0; mask < 8; ++mask) {
    std::string streams;
    if (mask & 1) streams += 'i';
    if (mask & 2) streams += 'o';
    if (mask & 4) streams += 'e';
    SCOPED_TRACE(streams);
    Fd out = reader("out");
    Fd err = reader("err");
    shim->end(shim->create_begin(request_with(streams)));
    shim->start("c1");
    if (mask & 1) {
      write_to("in", "in\n");
      shim->end(shim->close_begin("c1"));
    }
    EXPECT_EQ(shim->wait("c1"), 0u);
    if (mask & 2) {
      EXPECT_EQ(read_all(*shim, out.get()), mask & 1 ? "in\nout\n" : "out\n");
    }
    if (mask & 4) {
      EXPECT_EQ(read_all(*shim, err.get()), "err\n");
    }
    shim->remove("c1");
  }
  end_shim(*shim);
}

TEST_F(Stdio, OfInputGoesOnUntilCloseIO) {
  auto shim = start_running("cat");
  Fd out = reader("out");
  shim->end(shim->create_begin(request_with("io")));
  shim->start("c1");
  std::string wanted;
  for (int i = 0; i < 5; ++i) {
    write_to("in", std::to_string(i) + "\n");  // a client that opens and closes the fifo
    wanted += std::to_string(i) + "\n";
    if (i == 2) {
      EXPECT_EQ(read_until(*shim, out, "2\n"), wanted);
    }
  }
  shim->pass(50ms);
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  shim->end(shim->close_begin("c1"));
  EXPECT_EQ(shim->wait("c1"), 0u);
  EXPECT_EQ(read_all(*shim, out.get()), "3\n4\n");
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfInputThatIsWrittenAndClosedBeforeTheStartArrives) {
  auto shim = start_running("cat");
  Fd out = reader("out");
  Fd in = open_file(fifo("in"), O_RDWR);
  const std::string text(60000, 'x');
  ASSERT_EQ(::write(in.get(), text.data(), text.size()), 60000);
  shim->end(shim->create_begin(request_with("io")));
  in.reset();
  shim->end(shim->close_begin("c1"));
  shim->start("c1");
  EXPECT_EQ(read_all(*shim, out.get()), text);
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfFourMegabytesArrivesWholeAtASlowReader) {
  auto shim = start_running("head -c 4194304 /dev/zero | tr '\\0' x; echo end");
  Fd out = reader("out");
  shim->end(shim->create_begin(request_with("o")));
  shim->start("c1");
  std::size_t size = 0;
  std::string last;
  char chunk[65536];
  shim->until([&] {
    // Reads a little at a time; calls are answered meanwhile.
    const ssize_t n = ::read(out.get(), chunk, sizeof chunk);
    if (n > 0) {
      size += static_cast<std::size_t>(n);
      last.assign(chunk + std::max<ssize_t>(0, n - 4), chunk + n);
      if (size % 16 == 0) {
        EXPECT_NE(shim->state("c1").pid(), 0u);
      }
    }
    return n == 0;
  });
  EXPECT_EQ(size, 4194304u + 4);
  EXPECT_EQ(last, "end\n");
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfAContainerOutlivesItsReader) {
  // More than the pipe and the fifo hold, a megabyte each.
  auto shim = start_running("seq 1 400000 | sed 's/^/line /'");
  std::string text;
  {
    Fd out = reader("out");
    shim->end(shim->create_begin(request_with("o")));
    shim->start("c1");
    text = read_until(*shim, out, "line 100\n");
  }
  shim->pass(200ms);
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING) << "it waits, and gets no SIGPIPE";
  Fd out = reader("out");
  text += read_all(*shim, out.get());
  EXPECT_EQ(shim->wait("c1"), 0u);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 400000);
  EXPECT_EQ(text.substr(text.size() - 12), "line 400000\n");
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfAnExecWhoseChildLivesOnDelaysDeleteOnlyBriefly) {
  auto shim = start_running("sleep 1000");
  shim->end(shim->create_begin(request_with("")));
  shim->start("c1");
  const std::vector<std::string> files = open_files_at_rest(only_shim().pid);
  api::ExecProcessRequest request;
  request.set_stdout(fifo("out"));
  request.set_stderr(fifo("err"));
  Fd out = reader("out");
  Fd err = reader("err");
  exec(*shim, "c1", "e1", {"/bin/sh", "-c", "echo said; sleep 1000 & exit 3"}, request);
  const std::uint64_t started = loop_.now();
  shim->start("c1", "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 3u);
  const std::uint64_t began = loop_.now();
  auto removing = shim->remove_begin("c1", "e1");
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  EXPECT_EQ(shim->end(removing).exit_status(), 3u);
  EXPECT_GE(static_cast<int>(loop_.now() - started), 4000);
  EXPECT_LE(static_cast<int>(loop_.now() - began), 6000 * slowness());
  EXPECT_EQ(read_all(*shim, out.get()), "said\n");
  EXPECT_EQ(read_all(*shim, err.get()), "");
  EXPECT_EQ(open_files_at_rest(only_shim().pid), files);
  shim->kill("c1", SIGKILL);
  shim->wait("c1");
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfATerminalHasASizeAndAnEnd) {
  ContainerConfig config;
  config.terminal = true;
  config.args = {"/bin/sh", "-c", "read x; stty size; read y; echo got $y; exec sleep 1000"};
  auto shim = start_shim("c1", config);
  Fd out = reader("out");
  api::CreateTaskRequest request = request_with("io");
  request.set_terminal(true);
  shim->end(shim->create_begin(request));
  EXPECT_TRUE(shim->state("c1").terminal());
  shim->end(shim->resize_begin("c1", "", 123, 45));
  shim->start("c1");
  write_to("in", "x\n");
  EXPECT_NE(read_until(*shim, out, "45 123").find("45 123"), std::string::npos);
  write_to("in", "words\n");
  read_until(*shim, out, "got words");

  make_fifo("exec-in");
  make_fifo("exec-out");
  api::ExecProcessRequest process;
  process.set_terminal(true);
  process.set_stdin(fifo("exec-in"));
  process.set_stdout(fifo("exec-out"));
  Fd exec_out = reader("exec-out");
  exec(*shim, "c1", "e1", {"/bin/sh", "-c", "read x; stty size; tty; exit 4"}, process);
  shim->start("c1", "e1");
  shim->end(shim->resize_begin("c1", "e1", 77, 11));
  write_to("exec-in", "x\n");
  EXPECT_EQ(shim->wait("c1", "e1"), 4u);
  const std::string text = read_all(*shim, exec_out.get());
  EXPECT_NE(text.find("11 77"), std::string::npos) << text;
  EXPECT_NE(text.find("/dev/pts/"), std::string::npos) << text;
  EXPECT_REFUSED_BY(*shim, shim->resize_begin("c1", "e1", 1, 1), unknown,
                    "cannot resize a stopped container");
  shim->remove("c1", "e1");

  // A size set before the terminal exists.
  exec_out = reader("exec-out");
  exec(*shim, "c1", "e2", {"/bin/sh", "-c", "read x; stty size"}, process);
  shim->end(shim->resize_begin("c1", "e2", 66, 22));
  shim->start("c1", "e2");
  write_to("exec-in", "x\n");
  EXPECT_EQ(shim->wait("c1", "e2"), 0u);
  EXPECT_NE(read_all(*shim, exec_out.get()).find("22 66"), std::string::npos);
  shim->remove("c1", "e2");

  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  read_all(*shim, out.get()) /* which ends */;
  shim->end(shim->resize_begin("c1", "", 1, 1));
  shim->remove("c1");
  end_shim(*shim);
}

// containerd's own tests count both in the shim (TestContainerIOLeakAfterStartFailed,
// TestContainerTTYLeakAfterExit).
TEST_F(Stdio, OfAnIdleShimIsNoPipeAndOneDescriptorOfEachTerminal) {
  const auto count = [&](const std::string& word) {
    const Lines files = open_files_at_rest(only_shim().pid);
    return std::ranges::count_if(
        files, [&](const std::string& file) { return file.find(word) != std::string::npos; });
  };
  ContainerConfig config;
  config.terminal = true;
  auto shim = start_shim("c1", config);
  EXPECT_EQ(count("pipe:"), 0);
  Fd out = reader("out");
  api::CreateTaskRequest request = request_with("io");
  request.set_terminal(true);
  shim->end(shim->create_begin(request));
  shim->start("c1");
  EXPECT_EQ(count("ptmx"), 1);
  EXPECT_EQ(count("pipe:"), 0);
  exec(*shim, "c1", "e1", {"/no/such/program"});
  shim->refusal_of(shim->start_begin("c1", "e1"));
  EXPECT_EQ(count("ptmx"), 1);
  EXPECT_EQ(count("pipe:"), 0);
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  shim->remove("c1");
  EXPECT_EQ(count("ptmx"), 0);
  EXPECT_EQ(count("pipe:"), 0);
  end_shim(*shim);
}

// With a terminal, the last output is in the kernel when the container exits.
TEST_F(Stdio, OfATerminalArrivesWhole) {
  ContainerConfig config;
  config.terminal = true;
  config.args = {"/bin/sh", "-c",
                 "stty -opost; i=0; while [ $i -lt 5000 ]; do echo line $i; "
                 "i=$((i+1)); done"};
  auto shim = start_shim("c1", config);
  Fd out = reader("out");
  api::CreateTaskRequest request = request_with("o");
  request.set_terminal(true);
  shim->end(shim->create_begin(request));
  shim->start("c1");
  const std::string text = read_all(*shim, out.get());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5000);
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Stdio, OfAContainerThatWasDeletedWithoutAStartEndsToo) {
  for (bool terminal : {false, true}) {
    ContainerConfig config;
    config.terminal = terminal;
    auto shim = start_shim("c1", config);
    Fd out = reader("out");
    api::CreateTaskRequest request = request_with("io");
    request.set_terminal(terminal);
    shim->end(shim->create_begin(request));
    const std::uint64_t began = loop_.now();
    shim->remove("c1");
    EXPECT_LT(static_cast<int>(loop_.now() - began), 4000 * slowness()) << "so long output has";
    EXPECT_EQ(read_all(*shim, out.get()), "");
    end_shim(*shim);
  }
}

}  // namespace
}  // namespace thinshim::test
