// SPDX-License-Identifier: Apache-2.0
// The shim is killed by SIGKILL, as by the OOM killer: containerd calls its `delete`, which leaves
// nothing of the container: no process, mount, cgroup, runc state, bundle, nor the socket (which
// Go's shim leaves).
#include <signal.h>

#include "support/end_to_end.h"
#include "support/event_log.h"

namespace thinshim::test {
namespace {

class Crash : public EndToEnd {
 protected:
  // containerd has called `delete` and removed the bundle. (When `ctr task ls` no longer lists the
  // task, its shim does not answer; that is not enough.)
  bool is_cleaned_up(const std::string& id) {
    const std::filesystem::path bundle = containerd_.bundles(containerd_namespace_) / id;
    return eventually([&] { return !std::filesystem::exists(bundle); });
  }
};

TEST_F(Crash, KillsTheContainerAndItsExecs) {
  run_detached("web", {"/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"});
  ASSERT_TRUE(
      ctr_({"task", "exec", "--detach", "--exec-id", "sleeper", "web", "/bin/sleep", "1003"}).ok());
  ::kill(only_shim().pid, SIGKILL);
  EXPECT_TRUE(is_cleaned_up("web"));
  remove("web");
}

TEST_F(Crash, UnblocksAClientThatWaits) {
  Subprocess client(run_command("web", {"/bin/sh", "-c", "echo ready; sleep 1000"}, {"--rm"}));
  ASSERT_TRUE(client.wait_for_output("ready\n"));
  ::kill(only_shim().pid, SIGKILL);
  const Outcome outcome = client.wait();
  EXPECT_NE(outcome.exit_code, 0) << outcome;
  EXPECT_FALSE(outcome.timed_out);
}

TEST_F(Crash, IsPublishedAsExitAndDelete) {
  EventLog log(ctr_, containerd_namespace_);
  run_detached("web", {"/bin/sleep", "1000"});
  const pid_t init = init_pid("web");
  ::kill(only_shim().pid, SIGKILL);
  ASSERT_TRUE(log.wait_for("delete"));
  EXPECT_EQ(log.history(),
            (std::vector<std::string>{"create web", "start web", "exit web", "delete web"}));
  for (const TaskEvent& event : log.events())
    EXPECT_EQ(event.field("pid"), std::to_string(init)) << event.json;
  EXPECT_EQ(log.events()[2].field("exit_status"), "137");
  remove("web");
}

TEST_F(Crash, OfOneShimLeavesTheOthersAlone) {
  run_detached("one", {"/bin/sleep", "1000"});
  const pid_t shim = only_shim().pid;
  run_detached("two", {"/bin/sleep", "1000"});
  ::kill(shim, SIGKILL);
  EXPECT_TRUE(is_cleaned_up("one"));
  EXPECT_EQ(status("two"), "RUNNING");
  remove("one");
  remove("two");
}

// containerd finds the dead socket when it starts again.
TEST_F(Crash, IsCleanedUpByAContainerdThatWasAway) {
  run_detached("web", {"/bin/sleep", "1000"});
  const pid_t shim = only_shim().pid;
  containerd_.kill();
  ::kill(shim, SIGKILL);
  ASSERT_TRUE(eventually([&] { return shims_of_namespace(containerd_namespace_).empty(); }));
  containerd_.start();
  EXPECT_EQ(status("web"), "");
  remove("web");
}

TEST_F(Crash, LetsTheIdBeUsedAgain) {
  for (int i = 0; i < 3; ++i) {
    run_detached("web", {"/bin/sleep", "1000"});
    ::kill(only_shim().pid, SIGKILL);
    EXPECT_TRUE(is_cleaned_up("web"));
    remove("web");
  }
  EXPECT_TRUE(run("web", {"/bin/true"}).ok());
}

}  // namespace
}  // namespace thinshim::test
