// SPDX-License-Identifier: Apache-2.0
// `ctr task kill`: signals to a container and to its execs.
#include <signal.h>

#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class Kill : public EndToEnd {
 protected:
  std::string exit_code_of(const std::string& id) {
    EXPECT_TRUE(has_status(id, "STOPPED")) << status(id);
    const std::string words = "non-zero exit code ";
    const std::string said = ctr_({"task", "delete", id}).err;
    const size_t begin = said.find(words);
    return begin == std::string::npos
               ? "0"
               : said.substr(begin + words.size(), said.find('"', begin) - begin - words.size());
  }
};

TEST_F(Kill, PassesEachSignalOn) {
  const std::string script =
      "trap 'echo hup >> /shared/got' HUP; trap 'echo usr1 >> /shared/got' USR1; trap 'exit 3' "
      "TERM;"
      "echo ready > /shared/ready; while :; do sleep 0.02; done";
  run_detached("web", {"/bin/sh", "-c", script}, share());
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(shared() / "ready"); }));
  const auto size_of_got = [&] {
    std::error_code none;
    const auto size = std::filesystem::file_size(shared() / "got", none);
    return none ? 0 : size;
  };
  EXPECT_TRUE(ctr_({"task", "kill", "--signal", "SIGHUP", "web"}).ok());
  EXPECT_TRUE(eventually([&] { return size_of_got() == 4; }));  // "hup\n"
  EXPECT_TRUE(ctr_({"task", "kill", "--signal", "10", "web"}).ok());
  EXPECT_TRUE(eventually([&] { return size_of_got() == 9; }));  // and "usr1\n"
  EXPECT_EQ(status("web"), "RUNNING");
  EXPECT_TRUE(ctr_({"task", "kill", "web"}).ok());  // SIGTERM
  EXPECT_EQ(exit_code_of("web"), "3");
  remove("web");
}

TEST_F(Kill, KillsTheContainerWithSigkill) {
  run_detached("web", {"/bin/sleep", "1000"});
  EXPECT_TRUE(ctr_({"task", "kill", "--signal", "SIGKILL", "web"}).ok());
  EXPECT_EQ(exit_code_of("web"), "137");
  remove("web");
}

TEST_F(Kill, ReachesEveryProcessIfAskedTo) {
  // A shell with a handler, and a child without one.
  const std::string script =
      "trap 'echo parent >> /shared/got' USR1; sleep 1000; echo child died >> /shared/got; sleep "
      "1001";
  run_detached("web", {"/bin/sh", "-c", script}, share());
  ASSERT_TRUE(eventually([&] { return children_of(init_pid("web")).size() == 1; }));
  EXPECT_TRUE(ctr_({"task", "kill", "--all", "--signal", "SIGUSR1", "web"}).ok());
  // Since 1.2 runc signals init only, whatever it is asked, and does not list the feature.
  if (test::run({"runc", "kill", "--help"}).out.find("--all") == std::string::npos)
    ::kill(children_of(init_pid("web")).at(0).pid, SIGUSR1);
  EXPECT_TRUE(eventually([&] {
    const auto children = children_of(init_pid("web"));
    return children.size() == 1 && children[0].command() == "sleep 1001";
  }));
  EXPECT_EQ(test::run({"sort", shared() / "got"}).out, "child died\nparent\n");
  remove("web");
}

TEST_F(Kill, ReachesAnExecByItsId) {
  run_detached("web", {"/bin/sleep", "1000"});
  Subprocess exec = ctr_.begin({"task", "exec", "--exec-id", "shell", "web", "/bin/sh", "-c",
                                "trap 'exit 12' TERM; echo ready; while :; do sleep 0.02; done"});
  ASSERT_TRUE(exec.wait_for_output("ready\n"));
  EXPECT_TRUE(ctr_({"task", "kill", "--exec-id", "shell", "web"}).ok());
  EXPECT_EQ(exec.wait().exit_code, 12);
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
}

TEST_F(Kill, KillsTheExecsToo) {
  run_detached("web", {"/bin/sleep", "1000"});
  Subprocess exec(exec_command("web", {"/bin/sh", "-c", "echo ready; sleep 1000"}, {}));
  ASSERT_TRUE(exec.wait_for_output("ready\n"));
  EXPECT_TRUE(ctr_({"task", "kill", "--signal", "SIGKILL", "web"}).ok());
  EXPECT_EQ(exec.wait().exit_code, 137);
  EXPECT_EQ(exit_code_of("web"), "137");
  remove("web");
}

TEST_F(Kill, FailsIfTheProcessIsGone) {
  run_detached("web", {"/bin/true"});
  ASSERT_TRUE(has_status("web", "STOPPED"));
  const Outcome outcome = ctr_({"task", "kill", "web"});
  EXPECT_FALSE(outcome.ok());
  EXPECT_NE(outcome.err.find("not found"), std::string::npos) << outcome;
  remove("web");
}

TEST_F(Kill, RefusesExecsInAContainerThatHasEnded) {
  run_detached("web", {"/bin/true"});
  ASSERT_TRUE(has_status("web", "STOPPED"));
  const Outcome outcome = exec("web", {"/bin/true"});
  EXPECT_FALSE(outcome.ok());
  EXPECT_FALSE(outcome.timed_out);
  remove("web");
}

}  // namespace
}  // namespace thinshim::test
