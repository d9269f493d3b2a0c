// SPDX-License-Identifier: Apache-2.0
// Checkpoint and restore with the real criu, which must be on PATH and support the running kernel:
// scripts/matrix installs it.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <filesystem>
#include <sstream>

#include "support/busybox.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Checkpoint : public ShimTest {
 protected:
  fs::path image() const { return directory_ / "image"; }
  // The last number that the container has printed.
  int number(const std::string& id) const {
    std::istringstream lines(read(bundle(id) / "numbers"));
    int last = 0;
    for (std::string line; std::getline(lines, line) && !lines.eof();) last = std::stoi(line);
    return last;
  }
  api::CreateTaskRequest request_for(const std::string& id) const {
    api::CreateTaskRequest request = create_request(id);
    request.set_stdout("file://" + (bundle(id) / "numbers").string());
    return request;
  }
  std::unique_ptr<TaskCalls> run_counting(const std::string& id) {
    auto shim = start_shim(id, counting());
    shim->end(shim->create_begin(request_for(id)));
    shim->start(id);
    shim->until([&] { return number(id) > 3; });
    return shim;
  }
  std::unique_ptr<TaskCalls> restore(const std::string& id) {
    auto shim = start_shim(id, counting());
    api::CreateTaskRequest request = request_for(id);
    request.set_checkpoint(image());
    shim->end(shim->create_begin(request));
    EXPECT_GT(shim->start(id), 0);
    return shim;
  }
  static ContainerConfig counting() {
    ContainerConfig config;
    config.args = {"/bin/sh", "-c", "i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done"};
    return config;
  }
};

TEST_F(Checkpoint, GoesOnInAnotherContainerWhereItWasTaken) {
  auto shim = run_counting("c1");
  shim->end(shim->checkpoint_begin("c1", image()));
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  const int taken = number("c1");
  shim->until([&] { return number("c1") > taken; });
  auto other = restore("c2");
  other->until([&] { return number("c2") >= taken; });
  EXPECT_EQ(other->state("c2").status(), types::RUNNING);
  shim->end_container("c1");
  other->end_container("c2");
  end_shim(*shim);
  end_shim(*other);
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "checkpointed c1", "create c2", "start c2",
                              "exit c1 137", "delete c1 137", "exit c2 137", "delete c2 137"}));
}

TEST_F(Checkpoint, EndsTheContainerWhereThatIsAsked) {
  auto shim = run_counting("c1");
  containerd::runc::v1::CheckpointOptions options;
  options.set_exit(true);
  shim->end(shim->checkpoint_begin("c1", image(), options));
  EXPECT_EQ(shim->wait("c1"), 137u);
  const int taken = number("c1");
  shim->remove("c1");
  end_shim(*shim);
  auto other = restore("c1");
  other->until([&] { return number("c1") > taken; });
  other->end_container("c1");
  end_shim(*other);
}

// criu cannot dump a process that is being traced.
TEST_F(Checkpoint, ThatCriuCannotTakeNamesItsLog) {
  auto shim = run_counting("c1");
  const auto pid = static_cast<pid_t>(shim->state("c1").pid());
  ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
  const Error error = shim->refusal_of(shim->checkpoint_begin("c1", image()));
  const std::string log = bundle("c1") / "criu-dump.log";
  EXPECT_TRUE(contains(error, "path= " + log)) << error.what();
  EXPECT_NE(read(log).find("task: " + std::to_string(pid)), std::string::npos) << read(log);
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);

  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
  ASSERT_EQ(waitpid(pid, nullptr, __WALL), pid);
  ASSERT_EQ(ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
  shim->end(shim->checkpoint_begin("c1", image()));
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(Checkpoint, ThatIsNoneIsRefusedAtTheStart) {
  fs::create_directory(image());
  auto shim = start_shim("c1");
  api::CreateTaskRequest request = create_request("c1");
  request.set_checkpoint(image());
  shim->end(shim->create_begin(request));
  const Error error = shim->refusal_of(shim->start_begin("c1"));
  EXPECT_TRUE(contains(error, "OCI runtime restore failed: ")) << error.what();
  shim->remove("c1");
  end_shim(*shim);
}

class CheckpointByCtr : public EndToEnd {};

// ctr pauses the container, stores the checkpoint as an image, and resumes the container.
TEST_F(CheckpointByCtr, IsRestoredAsAnotherContainer) {
  const std::string image = "docker.io/library/busybox:test";
  make_image_archive(rootfs(), directory_ / "image.tar", image);
  ASSERT_TRUE(ctr_({"images", "import", directory_ / "image.tar"}).ok());
  ASSERT_TRUE(ctr_({"run", "--detach", "--null-io", image, "web", "/bin/sh", "-c",
                    "echo mine > /dev/shm/file; exec sleep 1000"})
                  .ok());
  ASSERT_TRUE(
      eventually([&] { return exec("web", {"/bin/cat", "/dev/shm/file"}).out == "mine\n"; }));
  const Outcome taken =
      ctr_({"container", "checkpoint", "--image", "--rw", "--task", "web", "checkpoint:1"});
  ASSERT_TRUE(taken.ok()) << taken;
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
  const Outcome restored =
      ctr_({"container", "restore", "--rw", "--live", "again", "checkpoint:1"});
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(status("again"), "RUNNING");
  EXPECT_EQ(exec("again", {"/bin/cat", "/dev/shm/file"}).out, "mine\n");
  remove("again");
}

TEST_F(CheckpointByCtr, EndsTheTaskWhereThatIsAsked) {
  run_detached("web", {"/bin/sleep", "1000"});
  const fs::path image = directory_ / "image";
  const Outcome taken = ctr_({"task", "checkpoint", "--exit", "--image-path", image, "web"});
  ASSERT_TRUE(taken.ok()) << taken;
  EXPECT_TRUE(has_status("web", "STOPPED"));
  EXPECT_TRUE(fs::exists(image / "inventory.img"));
  remove("web");
}

}  // namespace
}  // namespace thinshim::test
