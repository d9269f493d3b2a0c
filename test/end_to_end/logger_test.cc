// SPDX-License-Identifier: Apache-2.0
// Logging programs that `ctr` cannot use: with a terminal, with a configuration, that hang; and log
// files that hang.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime_options.pb.h"
#include "support/freezable_disk.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

class LoggerOfShim : public ShimTest {
 protected:
  std::string logger(const std::string& shell) {
    const std::string path = directory_ / "logger";
    write_file(path,
               "#!/bin/sh\nPATH=/usr/bin:/bin\ndir=" + directory_.string() + "\n" + shell + "\n",
               0755);
    return "binary://" + path;
  }
  std::string written(const std::string& name) const {
    return read_file(directory_ / name).value_or("no file");
  }
  // A Create whose options name a configuration with this task section.
  api::CreateTaskRequest request(const std::string& out, const std::string& section) {
    api::CreateTaskRequest request = create_request("c1");
    request.set_stdout(out);
    write_file(directory_ / "config.yaml",
               "version: 1\nplugins:\n  io.containerd.ttrpc.v1.task:\n" + section, 0600);
    runtimeoptions::v1::Options options;
    options.set_config_path(directory_ / "config.yaml");
    request.mutable_options()->set_type_url("runtimeoptions.v1.Options");
    request.mutable_options()->set_value(options.SerializeAsString());
    return request;
  }
  int milliseconds_since(std::uint64_t began) const {
    return static_cast<int>(loop_.now() - began);
  }
  std::unique_ptr<TaskCalls> start_running(const std::string& shell, bool terminal = false) {
    ContainerConfig config;
    config.terminal = terminal;
    config.args = {"/bin/sh", "-c", shell};
    return start_shim("c1", config);
  }
};

TEST_F(LoggerOfShim, GetsWhatATerminalShows) {
  auto shim = start_running("stty -opost; seq 1 5000; echo to stderr >&2", true);
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout(
      logger("exec 5>&-; cat <&3 >$dir/out; cat <&4 >>$dir/out; echo end >>$dir/out"));
  request.set_terminal(true);
  shim->end(shim->create_begin(request));
  shim->start("c1");
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  const std::string text = written("out");
  EXPECT_EQ(text.size(), 23893u + 10 + 4) << text;
  EXPECT_TRUE(text.ends_with("5000\nto stderr\nend\n"));
  end_shim(*shim);
}

TEST_F(LoggerOfShim, ThatIsNotInTheConfigurationIsRefused) {
  auto shim = start_running("exit 0");
  const std::string section = "    binary_logger: {allow: [\"/usr/local/bin/*\"]}\n";
  const std::string uri = logger("touch $dir/ran");
  EXPECT_REFUSED_BY(*shim, shim->create_begin(request(uri, section)), permission_denied,
                    "failed to create init process I/O: the logger " + directory_.string() +
                        "/logger is not in binary_logger.allow: permission denied");
  EXPECT_EQ(written("ran"), "no file");
  const std::string other =
      "    binary_logger: {allow: [\"/usr/local/bin/*\", \"" + directory_.string() + "/*\"]}\n";
  shim->end(shim->create_begin(request(uri, other)));
  shim->start("c1");
  shim->wait("c1");
  shim->remove("c1");
  EXPECT_EQ(written("ran"), "");
  end_shim(*shim);
}

// The logger outlives the last container, and the shim.
TEST_F(LoggerOfShim, ThatIsSlowDelaysNoCallAndIsWaitedFor) {
  auto shim = start_running("echo text; exit 4");
  const std::string uri =
      logger("exec 5>&-; cat <&3 >$dir/out; cat $dir/gate >>$dir/out; echo $PPID >$dir/parent");
  const std::string gate = make_fifo("gate");
  shim->end(shim->create_begin(request(uri, "    stdio: {drain_timeout: 200ms}\n")));
  const pid_t shim_pid = only_shim().pid;
  shim->start("c1");
  const std::uint64_t began = loop_.now();
  EXPECT_EQ(shim->wait("c1"), 4u);
  EXPECT_EQ(shim->remove("c1").exit_status(), 4u);
  EXPECT_LE(loop_.now() - began, 5000u) << "it would have ten seconds";
  shim->until([&] { return written("out") == "text\n"; });
  shim->shutdown();
  shim->pass(200ms);
  EXPECT_EQ(process(shim_pid).parent, 1) << "the shim waits for it";
  write_file(gate, "end\n", 0600);
  shim->until([&] { return process(shim_pid).parent < 0; });
  EXPECT_EQ(written("out"), "text\nend\n");
  EXPECT_EQ(written("parent"), std::to_string(shim_pid) + "\n");
}

TEST_F(LoggerOfShim, ThatNeverExitsIsKilled) {
  auto shim = start_running("exit 0");
  api::CreateTaskRequest request = this->request(
      logger("trap 'echo term >$dir/out' TERM; exec 5>&-; while :; do sleep 0.1; done"),
      "    stdio: {drain_timeout: 100ms}\n");
  shim->end(shim->create_begin(request));
  shim->start("c1");
  shim->wait("c1");
  shim->remove("c1");
  const std::uint64_t began = loop_.now();
  end_shim(*shim);
  EXPECT_GE(milliseconds_since(began), 10000);
  EXPECT_LE(milliseconds_since(began), 16000 * slowness());
  EXPECT_EQ(written("out"), "term\n");
}

// --- Files

class FileOfShim : public LoggerOfShim {
 protected:
  void SetUp() override {
    LoggerOfShim::SetUp();
    disk_.emplace(directory_ / "image", directory_ / "disk");
  }
  void TearDown() override {
    disk_.reset();
    LoggerOfShim::TearDown();
  }
  api::CreateTaskRequest request_for_file() {
    api::CreateTaskRequest request =
        this->request("file://" + (directory_ / "disk/log").string(), "    {}\n");
    request.set_stdin(make_fifo("in"));
    return request;
  }
  // Returns when the file contains "before", and the container is about to write "meanwhile".
  void run_into_frozen_disk(TaskCalls& shim) {
    shim.end(shim.create_begin(request_for_file()));
    shim.start("c1");
    shim.until([&] { return written("disk/log") == "before\n"; });
    Fd in = open_file(directory_ / "in", O_WRONLY | O_NONBLOCK);
    disk_->freeze();
    ASSERT_EQ(::write(in.get(), "\n", 1), 1);
    shim.pass(500ms);
  }
  // The longest an answer may take on a machine with other load.
  static constexpr int kPromptly = 3000;

  std::optional<FreezableDisk> disk_;
};

TEST_F(FileOfShim, OnAFrozenFileSystemBlocksNoCallAndGetsAllLater) {
  auto shim = start_running("echo before; read line; echo meanwhile; exec sleep 1000");
  run_into_frozen_disk(*shim);

  const std::uint64_t began = loop_.now();
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  EXPECT_LE(milliseconds_since(began), kPromptly * slowness());
  shim->remove("c1");
  EXPECT_LE(milliseconds_since(began), 8000 * slowness());

  const std::uint64_t asked = loop_.now();
  end_shim(*shim);
  EXPECT_LE(milliseconds_since(asked), 16000 * slowness());
  EXPECT_EQ(written("disk/log"), "before\n");
  disk_->thaw();
  EXPECT_TRUE(eventually([&] { return written("disk/log") == "before\nmeanwhile\n"; }));
}

TEST_F(FileOfShim, ThatHangsWhenItIsOpenedHoldsUpItsCreateOnly) {
  auto shim = start_running("echo text");
  disk_->freeze();
  auto creating = shim->create_begin(request_for_file());
  shim->pass(500ms);
  const std::uint64_t began = loop_.now();
  EXPECT_REFUSED_BY(*shim, shim->state_begin("other"), not_found,
                    "container not created: not found");
  EXPECT_LE(milliseconds_since(began), kPromptly * slowness());
  EXPECT_FALSE(creating->done.is_set());
  disk_->thaw();
  shim->end(creating);
  shim->start("c1");
  shim->wait("c1");
  shim->remove("c1");
  EXPECT_EQ(written("disk/log"), "text\n");
  end_shim(*shim);
}

// A shim that exits does not kill it.
TEST_F(FileOfShim, ThatHangsIsWrittenThoughTheShimIsKilled) {
  auto shim = start_running("echo before; read line; echo meanwhile; exec sleep 1000");
  run_into_frozen_disk(*shim);
  ::kill(only_shim().pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(namespace_).empty(); }));
  EXPECT_TRUE(cleanup("c1").ok());
  disk_->thaw();
  EXPECT_TRUE(eventually([&] { return written("disk/log") == "before\nmeanwhile\n"; }));
}

}  // namespace
}  // namespace thinshim::test
