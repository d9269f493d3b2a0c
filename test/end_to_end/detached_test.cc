// SPDX-License-Identifier: Apache-2.0
// `ctr run --detach`, and a running container as other commands see it: task ls, ps, delete.
#include <fstream>
#include <sstream>

#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class Detached : public EndToEnd {};

std::set<pid_t> pids_in(const std::string& table) {
  std::set<pid_t> pids;
  std::istringstream lines(table);
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) pids.insert(std::stoi(line));
  return pids;
}

TEST_F(Detached, RunsUntilItIsKilled) {
  run_detached("web", {"/bin/sleep", "1000"});
  EXPECT_EQ(status("web"), "RUNNING");
  const pid_t init = init_pid("web");  // it is `runc init` until a moment after Start
  EXPECT_TRUE(eventually([&] { return process(init).command() == "/bin/sleep 1000"; }));
  remove("web");
  EXPECT_EQ(status("web"), "");
}

TEST_F(Detached, KeepsTheExitCodeUntilItIsDeleted) {
  run_detached("web", {"/bin/sh", "-c", "exit 5"});
  ASSERT_TRUE(has_status("web", "STOPPED"));
  const Outcome deleted = ctr_({"task", "delete", "web"});
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_NE(deleted.err.find("non-zero exit code 5"), std::string::npos) << deleted;
  remove("web");
}

TEST_F(Detached, ListsTheProcessesOfTheContainerAndOfNoOther) {
  run_detached("other", {"/bin/sleep", "1000"});
  run_detached("web", {"/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"});
  const pid_t init = init_pid("web");
  ASSERT_TRUE(eventually([&] { return children_of(init).size() == 2; }));
  std::set<pid_t> expected = {init};
  for (const Process& child : children_of(init)) expected.insert(child.pid);

  const Outcome ps = ctr_({"task", "ps", "web"});
  EXPECT_TRUE(ps.ok()) << ps;
  EXPECT_EQ(pids_in(ps.out), expected) << ps;
  remove("web");
  remove("other");
}

TEST_F(Detached, RefusesToDeleteWhatRuns) {
  run_detached("web", {"/bin/sleep", "1000"});
  const Outcome deleted = ctr_({"task", "delete", "web"});
  EXPECT_FALSE(deleted.ok());
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
}

TEST_F(Detached, IsDeletedByForce) {
  run_detached("web", {"/bin/sleep", "1000"});
  const Outcome deleted = ctr_({"task", "delete", "--force", "web"});
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_EQ(status("web"), "");
  remove("web");
}

TEST_F(Detached, MayUseAnIdAgain) {
  for (int i = 0; i < 5; ++i) {
    run_detached("web", {"/bin/sleep", "1000"});
    remove("web");
  }
}

// The client that created the fifos has exited, so the output has no reader: the container must
// neither be killed by that nor get an error.
TEST_F(Detached, OutlivesTheReaderOfItsOutput) {
  // Each line has 100 bytes: 200 of them fit in the pipe.
  const std::string script =
      "i=0; while [ $i -lt 200 ]; do printf '%099d\\n' $i || exit 9; i=$((i+1)); done; echo done > "
      "/shared/done; sleep 1000";
  run_detached("web", {"/bin/sh", "-c", script}, share());
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(shared() / "done"); }));
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
}

TEST_F(Detached, GivesAClientThatAttachesTheOutput) {
  const std::string script =
      "while [ ! -e /shared/go ]; do echo tick; sleep 0.02; done; echo hello; exit 4";
  run_detached("web", {"/bin/sh", "-c", script}, share());
  Subprocess attached = ctr_.begin({"task", "attach", "web"});
  ASSERT_TRUE(attached.wait_for_output("tick\n"));
  std::ofstream(shared() / "go") << "go";
  const Outcome outcome = attached.wait();
  EXPECT_EQ(outcome.exit_code, 4) << outcome;
  EXPECT_NE(outcome.out.find("hello\n"), std::string::npos) << outcome;
  EXPECT_EQ(status("web"), "");  // attach deletes the task
  remove("web");
}

TEST_F(Detached, CostsOneShimPerContainerThatEndsWithIt) {
  run_detached("one", {"/bin/sleep", "1000"});
  EXPECT_EQ(shims_of_namespace(containerd_namespace_).size(), 1u);
  run_detached("two", {"/bin/sleep", "1000"});
  EXPECT_EQ(shims_of_namespace(containerd_namespace_).size(), 2u);
  remove("one");
  EXPECT_TRUE(eventually([&] { return shims_of_namespace(containerd_namespace_).size() == 1; }));
  EXPECT_EQ(status("two"), "RUNNING");
  remove("two");
}

}  // namespace
}  // namespace thinshim::test
