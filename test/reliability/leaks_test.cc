// SPDX-License-Identifier: Apache-2.0
// After a thousand lives of every kind the shim and the machine have no more than before.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "bench/costs.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"
#include "support/fake_runtime.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Leaks : public FastShimTest {
 protected:
  static std::set<std::string> files_below(const fs::path& directory) {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(directory))
      files.insert(entry.path());
    return files;
  }

  // Runs the lives and compares the state before and after; the first few may leave what is used
  // again.
  void expect_none(const std::string& kind, TaskCalls& shim, const std::function<void()>& live) {
    const pid_t pid = only_shim().pid;
    for (int n = 0; n < 5; ++n) live();
    const std::vector<std::string> open = open_files_at_rest(pid);
    const std::set<std::string> files = files_below(bundles_);
    const double memory = memory_at_rest(pid);
    const int lives = scaled(30, 1000);
    for (int n = 0; n < lives && !HasFailure(); ++n) live();
    std::vector<std::string> open_now;
    EXPECT_TRUE(eventually([&] { return (open_now = open_files(pid)).size() <= open.size(); }));
    EXPECT_EQ(open_now.size(), open.size()) << ::testing::PrintToString(open_now);
    EXPECT_TRUE(eventually([&] { return children_of(pid).empty(); }));
    EXPECT_EQ(files_below(bundles_), files);
    const double more = memory_at_rest(pid) - memory;
    EXPECT_EQ(bench::memory_of(pid).threads, 1);
    if (has_measurable_memory(pid)) {
      EXPECT_LE(more, 24) << "kB after " << lives << " lives";
    }
    figure(std::to_string(lives) + " lives, " + kind + ": private memory more, kB", more);
    EXPECT_TRUE(shim.client.connected());
  }

  // In kB, once it is stable.
  static double memory_at_rest(pid_t pid) {
    double memory = bench::memory_of(pid).private_dirty;
    eventually(
        [&] {
          const double before = std::exchange(memory, bench::memory_of(pid).private_dirty);
          ::usleep(50'000);
          return memory == before;
        },
        2s);
    return memory;
  }
};

// The streams of a process, as containerd's clients request them.
struct Kind {
  const char* name;
  const char* out;  // a fifo if it is none of the schemes
  bool terminal;
};

class LeaksOf : public Leaks, public ::testing::WithParamInterface<Kind> {
 protected:
  template <class Request>
  void set_streams(Request& request) {
    const std::string out = GetParam().out;
    request.set_terminal(GetParam().terminal);
    if (out == "fifo") {
      request.set_stdin(in_);
      request.set_stdout(out_);
      if (!GetParam().terminal) request.set_stderr(err_);
    } else if (out == "file") {
      request.set_stdout("file://" + (directory_ / "output").string());
      request.set_stderr("file://" + (directory_ / "output").string());
    } else if (out == "logger") {
      request.set_stdout("binary://" + logger_.string());
      request.set_stderr("binary://" + logger_.string());
    }
  }
  void SetUp() override {
    Leaks::SetUp();
    in_ = make_fifo("in");
    out_ = make_fifo("out");
    err_ = make_fifo("err");
    logger_ = directory_ / "logger";
    write_file(logger_, "#!/bin/sh\nexec 5>&-\nexec cat <&3 >/dev/null\n", 0755);
    for (const fs::path& fifo : {out_, err_}) {
      ends_.push_back(open_file(fifo, O_RDWR));  // so that readers get no end of file
      readers_.emplace_back(Words{"/bin/sh", "-c", "exec cat " + fifo.string() + " >/dev/null"});
    }
  }
  void TearDown() override {
    readers_.clear();
    Leaks::TearDown();
  }

  fs::path in_, out_, err_, logger_;

 private:
  std::vector<Fd> ends_;
  std::vector<Subprocess> readers_;
};

TEST_P(LeaksOf, AContainerAndItsExecsAreNone) {
  ContainerConfig config;
  config.args = {"write", "1"};
  config.terminal = GetParam().terminal;
  auto shim = start_shim("c1", config);
  expect_none(std::string("a container with an exec, ") + GetParam().name, *shim, [&] {
    api::CreateTaskRequest request = fast_request("c1");
    set_streams(request);
    shim->end(shim->create_begin(request));
    for (const char* id : {"e1", "e2"}) {
      api::ExecProcessRequest process;
      set_streams(process);
      exec(*shim, "c1", id, {"write", "1"}, process);
    }
    shim->start("c1", "e1");
    EXPECT_EQ(shim->wait("c1", "e1"), 0u);
    shim->remove("c1", "e1");
    shim->remove("c1", "e2");  // it never ran
    shim->start("c1");
    EXPECT_EQ(shim->wait("c1"), 0u);
    shim->remove("c1");
    forwarded_.clear();
  });
  end_shim(*shim);
}

INSTANTIATE_TEST_SUITE_P(Streams, LeaksOf,
                         testing::Values(Kind{"no streams", "", false},
                                         Kind{"fifos", "fifo", false},
                                         Kind{"a terminal", "fifo", true},
                                         Kind{"a file", "file", false},
                                         Kind{"a logger", "logger", false}),
                         [](const auto& kind) {
                           std::string name = kind.param.name;
                           for (char& c : name)
                             if (c == ' ') c = '_';
                           return name;
                         });

TEST_F(Leaks, OfFailuresAreNone) {
  ContainerConfig config;
  config.args = {"sleep"};
  auto shim = start_shim("c1", config);
  expect_none("a failed create, start and exec", *shim, [&] {
    api::CreateTaskRequest request = fast_request("c1");
    api::CreateTaskRequest bad = request;
    bad.set_stdout("/no/such/fifo");
    shim->refusal_of(shim->create_begin(bad));
    shim->refusal_of(shim->create_begin(fast_request("c1", "/no/such/runtime")));
    bad = request;
    bad.add_rootfs()->set_type("no-such-type");
    shim->refusal_of(shim->create_begin(bad));
    shim->end(shim->create_begin(request));
    shim->refusal_of(shim->create_begin(request));
    const api::StateResponse state = shim->state("c1");
    ::kill(static_cast<pid_t>(state.pid()), SIGKILL);
    EXPECT_EQ(shim->wait("c1"), 137u);
    shim->refusal_of(shim->start_begin("c1"));
    shim->remove("c1");
    shim->end(shim->create_begin(request));
    shim->start("c1");
    api::ExecProcessRequest process;
    process.set_stdout("/no/such/fifo");
    exec(*shim, "c1", "e1", {"sleep"}, process);
    shim->refusal_of(shim->start_begin("c1", "e1"));
    shim->remove("c1", "e1");
    exec(*shim, "c1", "e2", {"sleep"});
    shim->refusal_of(shim->begin<Empty>("Exec", [] {
      api::ExecProcessRequest again;
      again.set_id("c1");
      again.set_exec_id("e2");
      again.mutable_spec()->set_value(R"({"args":["sleep"]})");
      return again;
    }()));
    shim->end_container("c1");
    forwarded_.clear();
  });
  end_shim(*shim);
}

TEST_F(Leaks, OfCheckpointsAreNone) {
  FakeRuntime runtime;
  make_bundle("c1");
  auto shim = connect(start("c1").out);
  expect_none("a checkpoint and its restore", *shim, [&] {
    api::CreateTaskRequest request = fast_request("c1", runtime.binary());
    shim->end(shim->create_begin(request));
    shim->start("c1");
    const std::string image = directory_ / "image";
    shim->end(shim->checkpoint_begin("c1", image));
    shim->end_container("c1");
    request.set_checkpoint(image);
    shim->end(shim->create_begin(request));
    shim->start("c1");
    shim->end_container("c1");
    fs::remove_all(image);
    forwarded_.clear();
  });
  end_shim(*shim);
}

// `start` may find the group's shim just before or just after its Shutdown.
TEST_F(Leaks, StartReturnsNoShimThatIsAboutToExit) {
  ContainerConfig config;
  config.args = {"sleep"};
  config.annotations = {{"io.kubernetes.cri.sandbox-id", "pod"}};
  const int rounds = scaled(48, 1000);
  constexpr int kMoments = 16;  // within the duration of one `start`
  std::chrono::microseconds took(0);
  int same = 0;
  for (int n = 0; n < rounds && !HasFailure(); ++n) {
    make_bundle("c1", config);
    make_bundle("c2", config);
    auto first = connect(start("c1").out);
    first->end(first->create_begin(fast_request("c1")));
    first->end_container("c1");
    const std::uint32_t pid = first->end(first->connect_begin("")).shim_pid();
    const auto began = Clock::now();
    Subprocess starting(command("c2", {"start"}), surroundings("c2"));
    ::usleep(static_cast<useconds_t>(took.count() * (n % kMoments) / kMoments));
    auto shutting_down = first->begin<Empty>("Shutdown", [] {
      api::ShutdownRequest request;
      request.set_id("c1");
      return request;
    }());
    first->pass(1ms);
    const Outcome started = starting.wait();
    if (n == 0) took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    ASSERT_TRUE(started.ok()) << started.out;
    auto second = connect(started.out);
    second->end(second->create_begin(fast_request("c2")));
    same += second->end(second->connect_begin("c2")).shim_pid() == pid;
    second->end_container("c2");
    end_shim(*second);
    first->until([&] { return process(static_cast<pid_t>(pid)).parent < 0; });
  }
  figure("shims asked to end while another container came", rounds);
  figure("of them took it", same);
}

}  // namespace
}  // namespace thinshim::test
