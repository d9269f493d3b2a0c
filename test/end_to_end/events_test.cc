// SPDX-License-Identifier: Apache-2.0
// What `ctr events` prints of a container's life, and in which order.
#include <algorithm>

#include "support/end_to_end.h"
#include "support/event_log.h"

namespace thinshim::test {
namespace {

class TaskEvents : public EndToEnd {
 protected:
  using History = std::vector<std::string>;
};

TEST_F(TaskEvents, OfALifeComeInOrder) {
  EventLog log(ctr_, containerd_namespace_);
  ASSERT_EQ(run("web", {"/bin/sh", "-c", "exit 7"}).exit_code, 7);
  ASSERT_TRUE(log.wait_for("delete"));
  EXPECT_EQ(log.history(), (History{"create web", "start web", "exit web", "delete web"}));

  const std::vector<TaskEvent> events = log.events();
  EXPECT_EQ(events[2].field("exit_status"), "7") << events[2].json;
  EXPECT_EQ(events[3].field("exit_status"), "7") << events[3].json;
  EXPECT_FALSE(events[0].field("pid").empty()) << events[0].json;
  for (const TaskEvent& event : events)
    EXPECT_EQ(event.field("pid"), events[0].field("pid")) << event.json;
  EXPECT_EQ(events[2].field("exited_at"), events[3].field("exited_at"));
}

TEST_F(TaskEvents, NameTheBundleAndItsFifosAtTheCreation) {
  EventLog log(ctr_, containerd_namespace_);
  ASSERT_TRUE(run("web", {"/bin/true"}).ok());
  ASSERT_TRUE(log.wait_for("delete"));
  const TaskEvent create = log.events().at(0);
  EXPECT_EQ(create.field("bundle"), containerd_.bundles(containerd_namespace_) / "web")
      << create.json;
  EXPECT_NE(create.field("stdout").find("/run/containerd/fifo/"), std::string::npos) << create.json;
}

TEST_F(TaskEvents, OfAnExecComeBetweenItsContainersStartAndExit) {
  EventLog log(ctr_, containerd_namespace_);
  run_detached("web", {"/bin/sleep", "1000"});
  ASSERT_EQ(
      ctr_({"task", "exec", "--exec-id", "shell", "web", "/bin/sh", "-c", "exit 4"}).exit_code, 4);
  remove("web");
  ASSERT_TRUE(log.wait_for("delete"));
  EXPECT_EQ(log.history(),
            (History{"create web", "start web", "exec-added web shell", "exec-started web shell",
                     "exit web shell", "exit web", "delete web"}));
  EXPECT_EQ(log.events()[4].field("exit_status"), "4");
  EXPECT_EQ(log.events()[5].field("exit_status"), "137");
}

TEST_F(TaskEvents, OfTheExitsOfExecsComeBeforeThatOfInit) {
  EventLog log(ctr_, containerd_namespace_);
  run_detached("web", {"/bin/sleep", "1000"});
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    ASSERT_TRUE(
        ctr_({"task", "exec", "--detach", "--exec-id", id, "web", "/bin/sleep", "1000"}).ok());
  }
  ASSERT_TRUE(ctr_({"task", "kill", "--signal", "SIGKILL", "web"}).ok());
  ASSERT_TRUE(log.wait_for("exit", 6));
  const History history = log.history();
  EXPECT_EQ(history.back(), "exit web");
  for (const char* id : {"a", "b", "c", "d", "e"}) {
    EXPECT_EQ(std::count(history.begin(), history.end(), std::string("exit web ") + id), 1) << id;
  }
  remove("web");
}

TEST_F(TaskEvents, OfAnExecThatCouldNotStartHaveNoExit) {
  EventLog log(ctr_, containerd_namespace_);
  run_detached("web", {"/bin/sleep", "1000"});
  EXPECT_FALSE(ctr_({"task", "exec", "--exec-id", "shell", "web", "/bin/no-such-program"}).ok());
  remove("web");
  ASSERT_TRUE(log.wait_for("delete"));
  EXPECT_EQ(log.history(),
            (History{"create web", "start web", "exec-added web shell", "exit web", "delete web"}));
}

// Fifty short lives at once: the events of each come once and in order.
TEST_F(TaskEvents, LoseNoneOfFiftyExecsAtOnce) {
  EventLog log(ctr_, containerd_namespace_);
  run_detached("web", {"/bin/sleep", "1000"});
  std::vector<Subprocess> clients;
  for (int i = 0; i < 50; ++i) clients.emplace_back(exec_command("web", {"/bin/true"}, {}));
  for (Subprocess& client : clients) EXPECT_TRUE(client.wait().ok());
  ASSERT_TRUE(log.wait_for("exit", 50));
  const History history = log.history();
  for (int i = 1; i <= 50; ++i) {
    const std::string id = " web exec-" + std::to_string(i);
    const auto added = std::find(history.begin(), history.end(), "exec-added" + id);
    const auto started = std::find(added, history.end(), "exec-started" + id);
    const auto exited = std::find(started, history.end(), "exit" + id);
    EXPECT_NE(exited, history.end()) << id;
    EXPECT_EQ(std::count(history.begin(), history.end(), "exit" + id), 1) << id;
  }
  remove("web");
}

}  // namespace
}  // namespace thinshim::test
