// SPDX-License-Identifier: Apache-2.0
// `ctr task exec`: additional processes in a running container.
#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class Exec : public EndToEnd {
 protected:
  void SetUp() override {
    EndToEnd::SetUp();
    run_detached("web", {"/bin/sleep", "1000"});
    files_ = open_files_at_rest(only_shim().pid);
  }

  // After every exec the container still runs, and the shim has no more open files than before.
  void TearDown() override {
    EXPECT_EQ(status("web"), "RUNNING");
    EXPECT_TRUE(has_open_files(only_shim().pid, files_));
    for (const Process& child : children_of(only_shim().pid))
      EXPECT_NE(child.state, 'Z') << child.name;
    remove("web");
    EndToEnd::TearDown();
  }

  // Since containerd 1.7 `ctr task delete --force` kills no exec.
  void kill_and_delete(const std::string& exec_id) {
    ctr_({"task", "kill", "--signal", "SIGKILL", "--exec-id", exec_id, "web"});
    EXPECT_TRUE(eventually(
        [&] { return ctr_({"task", "delete", "--exec-id", exec_id, "web"}).exit_code == 137; }));
  }

 private:
  std::vector<std::string> files_;
};

TEST_F(Exec, ShowsOutputAndErrors) {
  const Outcome outcome = exec("web", {"/bin/sh", "-c", "echo to stdout; echo to stderr >&2"});
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.out, "to stdout\n");
  EXPECT_EQ(outcome.err, "to stderr\n");
}

TEST_F(Exec, PassesTheExitCodeOfAFailingCommandOn) {
  EXPECT_EQ(exec("web", {"/bin/sh", "-c", "exit 42"}).exit_code, 42);
  EXPECT_EQ(exec("web", {"/bin/sh", "-c", "kill -KILL $$"}).exit_code, 137);
}

TEST_F(Exec, PassesStdinOnUntilItsEnd) {
  const Outcome outcome = exec("web", {"/bin/sh", "-c", "tr a-z A-Z; echo end"}, {}, "some text\n");
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.out, "SOME TEXT\nend\n");
}

TEST_F(Exec, KeepsStdinOpenUntilTheClientClosesIt) {
  SubprocessOptions options;
  options.keep_input_open = true;
  Subprocess cat(exec_command("web", {"/bin/cat"}, {}), std::move(options));
  cat.write("one\n");
  EXPECT_TRUE(cat.wait_for_output("one\n"));
  cat.write("two\n");
  EXPECT_TRUE(cat.wait_for_output("two\n"));
  EXPECT_FALSE(cat.has_ended());
  cat.close_input();
  EXPECT_EQ(cat.wait().exit_code, 0);
}

TEST_F(Exec, LosesNothingOfAMegabyteWrittenBeforeTheExit) {
  std::string expected;
  for (int i = 1; i <= 150000; ++i) expected += std::to_string(i) + "\n";
  const Outcome outcome = exec("web", {"/bin/seq", "1", "150000"});
  EXPECT_TRUE(outcome.ok()) << outcome.err;
  EXPECT_TRUE(outcome.out == expected) << outcome.out.size() << " bytes of " << expected.size();
}

TEST_F(Exec, ReportsAMissingProgramWithRuncsText) {
  const Outcome outcome = exec("web", {"/bin/no-such-program"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("OCI runtime exec failed"), std::string::npos) << outcome;
  EXPECT_NE(outcome.err.find("/bin/no-such-program"), std::string::npos) << outcome;
  EXPECT_NE(outcome.err.find("o such file or directory"), std::string::npos) << outcome;
}

TEST_F(Exec, RunsInTheDirectoryAndAsTheUserAskedFor) {
  const Outcome outcome =
      exec("web", {"/bin/sh", "-c", "pwd; id -u"}, {"--cwd", "/tmp", "--user", "65534"});
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.out, "/tmp\n65534\n");
}

TEST_F(Exec, RefusesAnIdThatIsInUse) {
  ASSERT_TRUE(
      ctr_({"task", "exec", "--detach", "--exec-id", "same", "web", "/bin/sleep", "1000"}).ok());
  const Outcome second = ctr_({"task", "exec", "--exec-id", "same", "web", "/bin/true"});
  EXPECT_NE(second.exit_code, 0);
  EXPECT_NE(second.err.find("already exists"), std::string::npos) << second;
  kill_and_delete("same");
}

TEST_F(Exec, IsListedByItsIdWhileItRuns) {
  ASSERT_TRUE(
      ctr_({"task", "exec", "--detach", "--exec-id", "sleeper", "web", "/bin/sleep", "1000"}).ok());
  const Outcome ps = ctr_({"task", "ps", "web"});
  EXPECT_NE(ps.out.find("sleeper"), std::string::npos) << ps;
  kill_and_delete("sleeper");
  EXPECT_EQ(ctr_({"task", "ps", "web"}).out.find("sleeper"), std::string::npos);
}

// A child of the exec holds its stdout: the client must return all the same, within a bounded time.
TEST_F(Exec, ExitsThoughAChildHoldsItsOutput) {
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = exec("web", {"/bin/sh", "-c", "sleep 1000 & echo started"});
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.out, "started\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15) * slowness());
}

TEST_F(Exec, ServesFiftyAtOnce) {
  std::vector<Subprocess> clients;
  for (int i = 0; i < 50; ++i) clients.emplace_back(exec_command("web", {"/bin/true"}, {}));
  for (Subprocess& client : clients) {
    const Outcome outcome = client.wait();
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
}

}  // namespace
}  // namespace thinshim::test
