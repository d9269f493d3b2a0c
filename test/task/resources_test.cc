// SPDX-License-Identifier: Apache-2.0
// Pause, Resume, Update and Stats with the fake runtime; test/end_to_end tests their effect on a
// real container.
#include <signal.h>

#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Resources : public TaskTest {};

TEST_F(Resources, PauseAndResumeArePublishedAndInTheState) {
  run("c1");
  end(pause_begin("c1"));
  EXPECT_EQ(state("c1").status(), types::PAUSED);
  EXPECT_REFUSED(pause_begin("c1"), unknown, "cannot pause a paused container");
  EXPECT_REFUSED(exec_begin("c1", "e1", "true"), unknown, "cannot exec in a paused state");
  EXPECT_REFUSED(remove_begin("c1"), unknown, "cannot delete a paused process");
  end(resume_begin("c1"));
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_REFUSED(resume_begin("c1"), unknown, "cannot resume a running process");
  end_container("c1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "paused c1", "resumed c1",
                                   "exit c1 137", "delete c1 137"}));
}

TEST_F(Resources, APauseUnderWayIsInTheStateToo) {
  runtime.before("pause", runtime.wait_for("pause"));
  run("c1");
  auto pausing = pause_begin("c1");
  until_called("pause c1");
  EXPECT_EQ(state("c1").status(), types::PAUSING);
  runtime.open("pause");
  end(pausing);
  EXPECT_EQ(state("c1").status(), types::PAUSED);
  end(resume_begin("c1"));
  end_container("c1");
}

TEST_F(Resources, APauseThatFailsChangesNothing) {
  runtime.before("pause", FakeRuntime::fail("no freezer"));
  run("c1");
  EXPECT_REFUSED(pause_begin("c1"), unknown, "OCI runtime pause failed: no freezer");
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_EQ(sink.count(kTopicPaused), 0u);
  end_container("c1");
}

TEST_F(Resources, AContainerThatDiesWhileItIsPausedIsStopped) {
  runtime.after("pause", "kill -9 $init; while alive $init; do sleep 0.005; done");
  run("c1");
  end(pause_begin("c1"));
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "paused c1", "exit c1 137"}));
  remove("c1");
}

TEST_F(Resources, AKillReachesAPausedContainer) {
  run("c1");
  end(pause_begin("c1"));
  runtime.before("kill", "exit 0");  // a frozen process stays alive; a thawed one gets its signal
  runtime.after("resume", "kill -9 $init");
  kill("c1", SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  runtime.behave();
  remove("c1");
}

TEST_F(Resources, AnUpdateReachesTheRuntimeToTheLetter) {
  run("c1");
  const std::string resources = R"({"memory":{"limit":12345678901},"unified":{"a":"ä"}})";
  end(update_begin("c1", resources));
  EXPECT_EQ(runtime.resources(), resources);
  for (const char* text : {"", "[]", "{", "no"})
    EXPECT_EQ(refusal_of(update_begin("c1", text)).code(), Code::invalid_argument) << text;
  runtime.before("update", FakeRuntime::fail("too much"));
  EXPECT_REFUSED(update_begin("c1", "{}"), unknown, "OCI runtime update failed: too much");
  end_container("c1");
}

// runc crashes on `null`, and takes an empty map for a request, also for what cgroup v1 lacks.
TEST_F(Resources, AnUpdateLeavesOutWhatSaysNothing) {
  run("c1");
  const struct {
    const char* sent;
    const char* passed_on;
  } cases[] = {
      {R"({"memory":null})", "{}"},
      {R"({"unified":{}})", "{}"},
      {R"({"memory":{},"cpu":{"cpus":"","shares":0}})", R"({"memory":{},"cpu":{"shares":0}})"},
      {R"({"devices":[],"hugepageLimits":[{"pageSize":"2MB","limit":0}],"rdma":{}})",
       R"({"hugepageLimits":[{"pageSize":"2MB","limit":0}]})"},
      {R"({"unified":{"a":"","b":"1"},"blockIO":{"weightDevice":[],"weight":null}})",
       R"({"unified":{"a":"","b":"1"},"blockIO":{}})"},
      {R"({"cpu":{"unified":{}}, "devices":[{"allow":false,"type":"","access":"rwm"}]})",
       R"({"cpu":{"unified":{}},"devices":[{"allow":false,"access":"rwm"}]})"},
  };
  for (const auto& c : cases) {
    end(update_begin("c1", c.sent));
    EXPECT_EQ(runtime.resources(), c.passed_on);
  }
  end_container("c1");
}

TEST_F(Resources, AnUpdateOfMoreThanAPipeHoldsArrives) {
  run("c1");
  const std::string resources = "{\"x\":\"" + std::string(1 << 20, 'x') + "\"}";
  end(update_begin("c1", resources));
  EXPECT_EQ(runtime.resources(), resources);
  end_container("c1");
}

TEST_F(Resources, AreUnknownOfAnUnknownContainer) {
  const std::string text = "container not created: not found";
  EXPECT_REFUSED(pause_begin("x"), not_found, text);
  EXPECT_REFUSED(resume_begin("x"), not_found, text);
  EXPECT_REFUSED(update_begin("x", "{}"), not_found, text);
  EXPECT_REFUSED(checkpoint_begin("x", "/image"), not_found, text);
  EXPECT_REFUSED(stats_begin("x"), not_found, text);
}

}  // namespace
}  // namespace thinshim::test
