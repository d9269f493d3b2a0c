// SPDX-License-Identifier: Apache-2.0
// Pause, Resume, Update, Stats and OOM events on real containers. test/cgroup tests the figures.
#include <signal.h>

#include <algorithm>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

class Resources : public ShimTest {
 protected:
  // The number of iterations that the container has written to its file.
  int count() const {
    const std::string text = read(bundle("c1") / "count");
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  ContainerConfig counting() const {
    ContainerConfig config;
    config.args = {"/bin/sh", "-c", "while :; do echo; sleep 0.01; done"};
    return config;
  }
  // Creates and starts it with its output in a file.
  pid_t run_counting(TaskCalls& shim) {
    api::CreateTaskRequest request = create_request("c1");
    request.set_stdout("file://" + (bundle("c1") / "count").string());
    const auto pid = static_cast<pid_t>(shim.end(shim.create_begin(request)).pid());
    shim.start("c1");
    shim.until([&] { return count() > 3; });
    return pid;
  }
  static std::string file_of(const Cgroup& group, const char* v1_name, const char* v2_name) {
    const bool is_v2 = group.version() == CgroupVersion::v2;
    std::string text = read_file(group.directory("memory") + "/" + (is_v2 ? v2_name : v1_name))
                           .value_or("missing");
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
};

TEST_F(Resources, APausedContainerDoesNotRunUntilItIsResumed) {
  auto shim = start_shim("c1", counting());
  const pid_t pid = run_counting(*shim);
  shim->end(shim->pause_begin("c1"));
  EXPECT_EQ(shim->state("c1").status(), types::PAUSED);
  const auto turns = [&] {  // of both kinds; earlier output may still arrive
    const std::string status = read("/proc/" + std::to_string(pid) + "/status");
    return status.substr(status.find("voluntary_ctxt_switches:"));
  };
  const std::string before = turns();
  shim->pass(200ms);
  EXPECT_EQ(turns(), before);
  EXPECT_REFUSED_BY(*shim, shim->remove_begin("c1"), unknown, "cannot delete a paused process");
  shim->end(shim->resume_begin("c1"));
  shim->until([&] { return turns() != before; });
  const int counted = count();
  shim->until([&] { return count() > counted; });
  shim->end_container("c1");
  shim->until([&] { return history().size() >= 6; });
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "paused c1", "resumed c1", "exit c1 137",
                              "delete c1 137"}));
  end_shim(*shim);
}

TEST_F(Resources, AKillReachesAPausedContainer) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  shim->end(shim->pause_begin("c1"));
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Resources, AnUpdateReachesTheKernel) {
  auto shim = start_shim("c1");
  const pid_t pid = run(*shim, "c1");
  shim->end(shim->update_begin("c1", R"({"memory":{"limit":67108864},"pids":{"limit":77}})"));
  const Cgroup group = Cgroup::of_process(pid);
  EXPECT_EQ(file_of(group, "memory.limit_in_bytes", "memory.max"), "67108864");
  Error error = shim->refusal_of(shim->update_begin("c1", R"({"cpu":{"period":1}})"));
  EXPECT_EQ(std::string(error.what()).rfind("OCI runtime update failed: ", 0), 0u) << error.what();
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(Resources, AnOomKillIsPublishedBeforeTheExit) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  shim->end(shim->update_begin("c1", R"({"memory":{"limit":16777216,"swap":16777216}})"));
  exec(*shim, "c1", "e1", {"/bin/tail", "/dev/zero"});  // allocates memory without end
  shim->start("c1", "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 137u);
  shim->until([&] { return history().size() >= 6; });
  EXPECT_EQ(history(), (Lines{"create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1",
                              "oom c1", "exit c1 e1 137"}));
  EXPECT_EQ(shim->state("c1").status(), types::RUNNING);
  shim->remove("c1", "e1");
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_F(Resources, AnOomKillIsPublishedForTheRightContainerOfAPod) {
  ContainerConfig config;
  config.annotations["io.kubernetes.cri.sandbox-id"] = "sandbox";
  auto shim = start_shim("sandbox", config);
  run(*shim, "sandbox");
  config.args = {"/bin/tail", "/dev/zero"};
  for (const char* id : {"hungry", "thirsty"}) {
    make_bundle(id, config);
    ASSERT_TRUE(start(id).ok());
    create(*shim, id);
    shim->end(shim->update_begin(id, R"({"memory":{"limit":16777216,"swap":16777216}})"));
    shim->start(id);
    EXPECT_EQ(shim->wait(id), 137u);
    shim->remove(id);
  }
  shim->end_container("sandbox");
  shim->until([&] { return history().size() >= 14; });
  EXPECT_EQ(history(), (Lines{"create sandbox", "start sandbox", "create hungry", "start hungry",
                              "oom hungry", "exit hungry 137", "delete hungry 137",
                              "create thirsty", "start thirsty", "oom thirsty", "exit thirsty 137",
                              "delete thirsty 137", "exit sandbox 137", "delete sandbox 137"}));
  end_shim(*shim);
}

// As `runc pause` by hand: the shim believes that it runs.
TEST_F(Resources, AKillReachesAContainerThatAnotherProcessHasFrozen) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  ASSERT_TRUE(
      test::run({"runc", "--root", "/run/containerd/runc/" + namespace_, "pause", "c1"}).ok());
  shim->kill("c1", SIGKILL);
  EXPECT_EQ(shim->wait("c1"), 137u);
  shim->remove("c1");
  end_shim(*shim);
}

TEST_F(Resources, StatsOfUnknownAndExitedContainersAreNotFound) {
  auto shim = start_shim("c1");
  EXPECT_REFUSED_BY(*shim, shim->stats_begin("c1"), not_found, "container not created: not found");
  run(*shim, "c1");
  EXPECT_FALSE(shim->end(shim->stats_begin("c1")).stats().value().empty());
  shim->end_container("c1");
  EXPECT_REFUSED_BY(*shim, shim->stats_begin("c1"), not_found, "container not created: not found");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
