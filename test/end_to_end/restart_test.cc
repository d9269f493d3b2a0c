// SPDX-License-Identifier: Apache-2.0
// containerd exits or is killed, and restarts: containers keep running, and nothing is lost.
#include <signal.h>

#include "support/end_to_end.h"
#include "support/terminal.h"

namespace thinshim::test {
namespace {

class Restart : public EndToEnd {
 protected:
  Restart() : EndToEnd("trace") {}  // containerd logs each event that it receives

  void end_with_containerd_away(pid_t pid) {
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return process(pid).parent < 0; })) << "not reaped: " << pid;
  }

  std::string exit_message(const std::string& id) { return ctr_({"task", "delete", id}).err; }

  // The topics of the task events from shims in containerd's log, from the byte `from` on.
  std::vector<std::string> forwarded(size_t from) const {
    std::vector<std::string> topics;
    const std::string log = containerd_.log();
    for (size_t at = log.find("msg=\"event forwarded\"", from); at != std::string::npos;
         at = log.find("msg=\"event forwarded\"", at + 1)) {
      const size_t begin = log.find("topic=/tasks/", at) + 13;
      topics.push_back(log.substr(begin, log.find(' ', begin) - begin));
    }
    return topics;
  }
};

TEST_F(Restart, LeavesContainersRunning) {
  run_detached("web", {"/bin/sleep", "1000"});
  const pid_t init = init_pid("web");
  const Process shim = only_shim();
  containerd_.kill();
  EXPECT_TRUE(eventually([&] { return process(init).command() == "/bin/sleep 1000"; }));
  containerd_.start();
  EXPECT_EQ(status("web"), "RUNNING");
  EXPECT_EQ(init_pid("web"), init);
  EXPECT_EQ(only_shim().pid, shim.pid);
  const Outcome outcome = exec("web", {"/bin/sh", "-c", "echo still here; exit 4"});
  EXPECT_EQ(outcome.exit_code, 4) << outcome;
  EXPECT_EQ(outcome.out, "still here\n");
  remove("web");
}

TEST_F(Restart, LeavesContainersRunningAfterAnOrderlyEndToo) {
  run_detached("web", {"/bin/sleep", "1000"});
  containerd_.stop();
  containerd_.start();
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
}

// Since 1.7 containerd ends a shim whose container has no process, before any client has asked for
// the exit: with the stock shim the exit status is 255 then.
TEST_F(Restart, KnowsHowAContainerEndedThatEndedMeanwhile) {
  run_detached("web", {"/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1000 & wait; done"});
  run_detached("other", {"/bin/sleep", "1000"});
  const pid_t init = init_pid("web");
  const pid_t shim = process(init).parent;
  ASSERT_TRUE(eventually([&] { return !children_of(init).empty(); })) << "it has set its trap";
  containerd_.kill();
  ::kill(init, SIGTERM);
  EXPECT_TRUE(eventually([&] { return process(init).parent < 0; })) << "it was not reaped";
  containerd_.start();
  EXPECT_EQ(status("web"), "STOPPED");
  EXPECT_EQ(status("other"), "RUNNING");
  EXPECT_EQ(process(shim).pid, shim) << "it is there until the container is deleted";
  EXPECT_NE(exit_message("web").find("non-zero exit code 7"), std::string::npos);
  remove("web");
  remove("other");
}

TEST_F(Restart, ManyTimesCostsTheShimNothing) {
  run_detached("web", {"/bin/sleep", "1000"});
  std::vector<std::string> files;
  for (int i = 0; i < 6; ++i) {
    containerd_.kill();
    containerd_.start();
    EXPECT_EQ(status("web"), "RUNNING");
    EXPECT_TRUE(exec("web", {"/bin/true"}).ok());
    // The first restart may leave one more connection.
    if (i == 0) files = open_files_at_rest(only_shim().pid);
  }
  EXPECT_TRUE(has_open_files(only_shim().pid, files));
  remove("web");
}

TEST_F(Restart, LeavesATerminalsContainerRunning) {
  Terminal terminal(run_command("web", {"/bin/sh"}, {"--tty"}));
  ASSERT_TRUE(terminal.wait_for("# ")) << terminal.text();
  containerd_.kill();
  containerd_.start();
  EXPECT_EQ(status("web"), "RUNNING");
  EXPECT_TRUE(exec("web", {"/bin/true"}).ok());
  remove("web");
}

TEST_F(Restart, GetsTheEventsOfTheOutage) {
  run_detached("web", {"/bin/sleep", "1000"});
  ASSERT_TRUE(
      ctr_({"task", "exec", "--detach", "--exec-id", "sleeper", "web", "/bin/sleep", "1001"}).ok());
  const pid_t init = init_pid("web");
  const size_t log_size = containerd_.log().size();
  containerd_.kill();
  end_with_containerd_away(init);  // the kernel kills the exec too
  containerd_.start();
  EXPECT_TRUE(eventually([&] { return forwarded(log_size).size() >= 2; }));
  EXPECT_EQ(forwarded(log_size), (std::vector<std::string>{"exit", "exit"}));
  remove("web");
}

// An outage as long as an upgrade takes. Go's shim drops an event after about twenty seconds.
TEST_F(Restart, GetsTheEventsOfALongOutage) {
  run_detached("web", {"/bin/sleep", "1000"});
  const pid_t init = init_pid("web");
  const size_t log_size = containerd_.log().size();
  containerd_.kill();
  end_with_containerd_away(init);
  std::this_thread::sleep_for(std::chrono::seconds(25));  // the duration itself is tested
  containerd_.start();
  EXPECT_TRUE(eventually([&] { return !forwarded(log_size).empty(); }));
  remove("web");
}

}  // namespace
}  // namespace thinshim::test
