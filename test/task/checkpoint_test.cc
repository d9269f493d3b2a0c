// SPDX-License-Identifier: Apache-2.0
// Checkpoint and restore, without criu. test/end_to_end tests them with criu.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Checkpoint : public TaskTest {
 protected:
  std::string image() const { return directory / "image"; }
  std::string bundle(const std::string& id) const { return directory / id; }
  api::CreateTaskRequest restore_request(const std::string& id) {
    make_bundle(id);
    api::CreateTaskRequest request = create_request(id);
    request.set_checkpoint(image());
    return request;
  }
};

TEST_F(Checkpoint, LeavesTheContainerRunningAndIsPublished) {
  run("c1");
  end(checkpoint_begin("c1", image()));
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_EQ(runtime.arguments_of("checkpoint"), "--image-path " + image() + " --work-path " +
                                                    bundle("c1") +
                                                    "/criu-work --leave-running c1\n");
  EXPECT_FALSE(fs::exists(bundle("c1") + "/criu-work"));
  EXPECT_EQ(sink.get<events::TaskCheckpointed>(kTopicCheckpointed).checkpoint(), image());
  end_container("c1");
}

// In the directory that containerd keeps for a container on a disk: the bundle may be in memory.
TEST_F(Checkpoint, WorksWhereTheStockShimDoes) {
  fs::create_directories(directory / "disk");
  run("c1");
  fs::create_directory_symlink(directory / "disk", bundle("c1") + "/work");
  runtime.before("checkpoint", "mkdir -p $work; echo why > $work/dump.log");
  end(checkpoint_begin("c1", image()));
  EXPECT_EQ(runtime.arguments_of("checkpoint"), "--image-path " + image() + " --work-path " +
                                                    bundle("c1") +
                                                    "/work/criu-work --leave-running c1\n");
  EXPECT_TRUE(fs::is_empty(directory / "disk"));
  end_container("c1");

  api::CreateTaskRequest request = restore_request("c2");
  fs::create_directory_symlink(directory / "disk", bundle("c2") + "/work");
  runtime.before("restore", "echo said > $work/restore.log");
  end(create_begin(request));
  start("c2");
  EXPECT_NE(runtime.arguments_of("restore").find(" --work-path " + bundle("c2") + "/work "),
            std::string::npos)
      << runtime.arguments_of("restore");
  EXPECT_EQ(read_file(directory / "disk/restore.log"), "said\n")
      << "it is not the shim's to remove";
  end_container("c2");
}

TEST_F(Checkpoint, PassesEveryOptionOn) {
  run("c1");
  containerd::runc::v1::CheckpointOptions every;
  every.set_exit(true);
  every.set_open_tcp(true);
  every.set_external_unix_sockets(true);
  every.set_terminal(true);
  every.set_file_locks(true);
  every.add_empty_namespaces("network");
  every.add_empty_namespaces("ipc");
  every.set_cgroups_mode("soft");
  every.set_work_path(directory / "work");
  every.set_parent_path("../parent");
  end(checkpoint_begin("c1", image(), every));
  EXPECT_EQ(runtime.arguments_of("checkpoint"),
            "--image-path " + image() + " --work-path " + (directory / "work") +
                " --parent-path ../parent --tcp-established --ext-unix-sk --shell-job "
                "--file-locks --manage-cgroups-mode soft --empty-ns network --empty-ns ipc c1\n");
  EXPECT_TRUE(fs::exists(directory / "work/dump.log")) << "the client's own directory stays";
  EXPECT_EQ(wait("c1"), 137u) << "the runtime has ended it";
  remove("c1");
  EXPECT_EQ(sink.history().back(), "delete c1 137");
}

TEST_F(Checkpoint, ThatFailsSaysWhereCriusLogIs) {
  runtime.before("checkpoint", "mkdir -p $work; echo why > $work/dump.log; " +
                                   FakeRuntime::fail("criu failed: type NOTIFY errno 0"));
  run("c1");
  const std::string log = bundle("c1") + "/criu-dump.log";
  EXPECT_REFUSED(checkpoint_begin("c1", image()), unknown,
                 "criu failed: type NOTIFY errno 0 path= " + log);
  EXPECT_EQ(read_file(log), "why\n");
  EXPECT_FALSE(fs::exists(bundle("c1") + "/criu-work"));
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_EQ(sink.count(kTopicCheckpointed), 0u);
  end_container("c1");
}

TEST_F(Checkpoint, ThatFailsBeforeCriuHasNoLogOfAnEarlierOne) {
  run("c1");
  const std::string log = bundle("c1") + "/criu-dump.log";
  write_file(log, "an earlier failure", 0600);
  runtime.before("checkpoint", "mkdir -p $work; " + FakeRuntime::fail("no such option"));
  EXPECT_REFUSED(checkpoint_begin("c1", image()), unknown, "no such option path= " + log);
  EXPECT_FALSE(fs::exists(log));
  end_container("c1");
}

// The image's directory may be anywhere.
TEST_F(Checkpoint, FollowsNoLinkForCriusLog) {
  write_file(directory / "secret", "secret", 0600);
  write_file(directory / "victim", "whole", 0600);
  run("c1");
  fs::create_symlink(directory / "victim", bundle("c1") + "/criu-dump.log");
  runtime.before("checkpoint", "mkdir -p $work; ln -s " + (directory / "secret") +
                                   " $work/dump.log; " + FakeRuntime::fail("no"));
  EXPECT_REFUSED(checkpoint_begin("c1", image()), unknown,
                 "no path= " + bundle("c1") + "/criu-dump.log");
  EXPECT_EQ(read_file(directory / "victim"), "whole");
  runtime.before("checkpoint",
                 "mkdir -p $work; echo why > $work/dump.log; " + FakeRuntime::fail("no"));
  EXPECT_EQ(refusal_of(checkpoint_begin("c1", image())).code(), Code::unknown);
  EXPECT_EQ(read_file(directory / "victim"), "whole");
  EXPECT_EQ(read_file(bundle("c1") + "/criu-dump.log"), "why\n");
  EXPECT_TRUE(fs::exists(directory / "secret"));
  end_container("c1");
}

TEST_F(Checkpoint, IsRestoredByStart) {
  fs::create_directory(image());
  api::CreateTaskRequest request = restore_request("c1");
  EXPECT_EQ(end(create_begin(request)).pid(), 0u);
  EXPECT_EQ(state("c1").status(), types::CREATED);
  EXPECT_TRUE(sink.get<events::TaskCreate>(kTopicCreate).checkpoint() == image());
  EXPECT_REFUSED(exec_begin("c1", "e1", "true"), unknown, "cannot exec in a created state");
  EXPECT_EQ(end(pids_begin("c1")).processes_size(), 0);
  auto waiting = wait_begin("c1");
  const pid_t pid = start("c1");
  EXPECT_GT(pid, 0);
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_EQ(state("c1").pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(runtime.arguments_of("restore"), "--detach --no-subreaper --bundle " + bundle("c1") +
                                                 " --image-path " + image() + " --work-path " +
                                                 bundle("c1") + "/criu-work --pid-file " +
                                                 bundle("c1") + "/init.pid c1\n");
  EXPECT_FALSE(fs::exists(bundle("c1") + "/criu-work"));
  EXPECT_FALSE(waiting->done.is_set());
  kill("c1", SIGTERM);
  EXPECT_EQ(end(waiting).exit_status(), 143u);
  remove("c1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exit c1 143", "delete c1 143"}));
}

// Docker may cancel a restore between Create and Start, and deletes the container when its streams
// have ended.
TEST_F(Checkpoint, OpensNoStreamBeforeTheRestore) {
  fs::create_directory(image());
  const std::string path = directory / "out";
  check(::mkfifo(path.c_str(), 0600), "mkfifo");
  api::CreateTaskRequest request = restore_request("c1");
  request.set_stdout(path);
  end(create_begin(request));
  Fd out = open_file(path, O_RDONLY | O_NONBLOCK);
  char byte;
  EXPECT_EQ(::read(out.get(), &byte, 1), 0) << "no writer";
  runtime.set_program("c1", "echo x; exec sleep 60");
  start("c1");
  until([&] { return ::read(out.get(), &byte, 1) == 1; });
  EXPECT_EQ(byte, 'x');
  end_container("c1");
}

TEST_F(Checkpoint, IsDeletedWithoutARestore) {
  fs::create_directory(image());
  end(create_begin(restore_request("c1")));
  auto waiting = wait_begin("c1");
  EXPECT_EQ(remove("c1").pid(), 0u);
  EXPECT_EQ(end(waiting).exit_status(), 0u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "delete c1 0"}));
}

TEST_F(Checkpoint, CanBeRestoredAgainWhereThatFailed) {
  end(create_begin(restore_request("c1")));
  EXPECT_REFUSED(start_begin("c1"), unknown, "OCI runtime restore failed: no such image");
  EXPECT_EQ(state("c1").status(), types::CREATED);
  fs::create_directory(image());
  start("c1");
  end_container("c1");
}

TEST_F(Checkpoint, OfAMissingRuntimeFailsInTheStockShimsWords) {
  end(create_begin(restore_request("c1")));
  const std::string away = runtime.binary() + ".away";
  fs::rename(runtime.binary(), away);
  EXPECT_REFUSED(start_begin("c1"), unknown,
                 "OCI runtime restore failed: unable to retrieve OCI runtime error (open " +
                     bundle("c1") + "/log.json: no such file or directory): fork/exec " +
                     runtime.binary() + ": no such file or directory");
  fs::rename(away, runtime.binary());
  remove("c1");
}

TEST_F(Checkpoint, WhyARestoreFailedIsKept) {
  end(create_begin(restore_request("c1")));
  runtime.before("restore",
                 "mkdir -p $work; echo why > $work/restore.log; " + FakeRuntime::fail("no"));
  const std::string log = bundle("c1") + "/criu-dump.log";
  EXPECT_REFUSED(start_begin("c1"), unknown, "OCI runtime restore failed: no path= " + log);
  EXPECT_EQ(read_file(log), "why\n");
  remove("c1");
}

TEST_F(Checkpoint, OptionsThatCannotBeReadAreRefused) {
  run("c1");
  api::CheckpointTaskRequest request;
  request.set_id("c1");
  request.mutable_options()->set_value("\xff");
  EXPECT_REFUSED(begin<Empty>("Checkpoint", request), invalid_argument,
                 "cannot parse the checkpoint options: invalid argument");
  end_container("c1");
}

}  // namespace
}  // namespace thinshim::test
