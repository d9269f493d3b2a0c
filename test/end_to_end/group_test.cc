// SPDX-License-Identifier: Apache-2.0
// Containers that name the same group in an annotation share a shim, as those of a Kubernetes pod
// do.
#include <signal.h>

#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class Group : public EndToEnd, public ::testing::WithParamInterface<const char*> {
 protected:
  void run_member(const std::string& id, const std::string& group,
                  const Words& command = {"/bin/sleep", "1000"}) {
    run_detached(id, command, {"--null-io", "--annotation", std::string(GetParam()) + "=" + group});
  }
};

TEST_P(Group, SharesOneShim) {
  run_member("one", "one");
  run_member("two", "one");
  run_member("three", "one");
  const Process shim = only_shim();
  for (const char* id : {"one", "two", "three"}) {
    EXPECT_EQ(process(init_pid(id)).parent, shim.pid) << id;
    EXPECT_EQ(exec(id, {"/bin/hostname"}).exit_code, 0) << id;
  }
  // In whatever order the containers are removed, the shim exits with the last one.
  remove("one");
  EXPECT_EQ(only_shim().pid, shim.pid);
  EXPECT_EQ(status("three"), "RUNNING");
  remove("three");
  EXPECT_TRUE(exec("two", {"/bin/true"}).ok());
  remove("two");
}

TEST_P(Group, KeepsItsFilesInOrderWhileMembersComeAndGo) {
  run_member("one", "one");
  const std::vector<std::string> files = open_files_at_rest(only_shim().pid);
  for (int i = 0; i < 5; ++i) {
    run_member("two", "one", {"/bin/sh", "-c", "exit 3"});
    ASSERT_TRUE(has_status("two", "STOPPED"));
    remove("two");
  }
  EXPECT_TRUE(has_open_files(only_shim().pid, files));
  remove("one");
}

TEST_P(Group, OfAnotherNameHasAShimOfItsOwn) {
  run_member("one", "first");
  run_member("two", "second");
  EXPECT_EQ(shims_of_namespace(containerd_namespace_).size(), 2u);
  EXPECT_NE(process(init_pid("one")).parent, process(init_pid("two")).parent);
  remove("one");
  remove("two");
}

TEST_P(Group, WhoseMembersStartAtOnceHasOneShim) {
  std::vector<Subprocess> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(
        run_command("member-" + std::to_string(i), {"/bin/sleep", "1000"},
                    {"--detach", "--null-io", "--annotation", std::string(GetParam()) + "=pod"}));
  }
  for (Subprocess& client : clients) {
    const Outcome outcome = client.wait();
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
  only_shim();
  for (int i = 0; i < 6; ++i) remove("member-" + std::to_string(i));
}

TEST_P(Group, WhoseShimCrashesIsCleanedUpAsAWhole) {
  run_member("one", "one");
  run_member("two", "one");
  ::kill(only_shim().pid, SIGKILL);
  EXPECT_TRUE(has_status("one", ""));
  EXPECT_TRUE(has_status("two", ""));
  remove("one");
  remove("two");
}

TEST_P(Group, SurvivesARestartOfContainerd) {
  run_member("one", "one");
  run_member("two", "one");
  containerd_.kill();
  containerd_.start();
  EXPECT_EQ(status("one"), "RUNNING");
  EXPECT_EQ(status("two"), "RUNNING");
  remove("one");
  EXPECT_TRUE(exec("two", {"/bin/true"}).ok());
  remove("two");
}

INSTANTIATE_TEST_SUITE_P(ByAnnotation, Group,
                         ::testing::Values("io.containerd.runc.v2.group",
                                           "io.kubernetes.cri.sandbox-id"),
                         [](const auto& test) { return test.index == 0 ? "runc" : "sandbox"; });

}  // namespace
}  // namespace thinshim::test
