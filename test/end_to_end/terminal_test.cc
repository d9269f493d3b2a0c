// SPDX-License-Identifier: Apache-2.0
// `ctr run -t` and `ctr task exec -t`, at a pseudo terminal.
#include "support/terminal.h"

#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class ContainersTerminal : public EndToEnd {
 protected:
  static Words run_flags() { return {"--rm", "--tty"}; }

  // The client sends the size after the start, so the container waits for it.
  static std::string until_size_is(const std::string& size) {
    return "until [ \"$(stty size)\" = '" + size + "' ]; do sleep 0.02; done; echo has size " +
           size;
  }
};

TEST_F(ContainersTerminal, ShowsOutputAndPassesTheExitCodeOn) {
  Terminal terminal(run_command("web", {"/bin/sh", "-c", "tty; echo hello; exit 6"}, run_flags()));
  const Outcome outcome = terminal.wait();
  EXPECT_EQ(outcome.exit_code, 6) << outcome;
  EXPECT_EQ(outcome.out, "/dev/pts/0\r\nhello\r\n");
}

TEST_F(ContainersTerminal, TakesWhatIsTyped) {
  Terminal terminal(run_command(
      "web", {"/bin/sh", "-c", "stty -echo; echo ready; read line; echo got $line"}, run_flags()));
  ASSERT_TRUE(terminal.wait_for("ready\r\n")) << terminal.text();
  terminal.type("some text\n");
  EXPECT_TRUE(terminal.wait_for("got some text\r\n")) << terminal.text();
  EXPECT_TRUE(terminal.wait().ok());
}

TEST_F(ContainersTerminal, ClosesTheShellsInputAtControlD) {
  Terminal terminal(run_command("web", {"/bin/sh"}, run_flags()));
  ASSERT_TRUE(terminal.wait_for("# ")) << terminal.text();
  terminal.type("echo 4$((1+1))\n");
  ASSERT_TRUE(terminal.wait_for("42\r\n/ # ")) << terminal.text();  // the shell reads again
  terminal.type("\x04");
  EXPECT_TRUE(terminal.wait().ok()) << terminal.text();
}

TEST_F(ContainersTerminal, PassesControlCOnAsSigint) {
  const std::string script =
      "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done";
  Terminal terminal(run_command("web", {"/bin/sh", "-c", script}, run_flags()));
  ASSERT_TRUE(terminal.wait_for("ready\r\n")) << terminal.text();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait().exit_code, 3) << terminal.text();
  EXPECT_NE(terminal.text().find("interrupted\r\n"), std::string::npos) << terminal.text();
}

TEST_F(ContainersTerminal, HasTheSizeOfTheWindowAndFollowsIt) {
  const std::string script = until_size_is("33 101") + "; " + until_size_is("44 202");
  Terminal terminal(run_command("web", {"/bin/sh", "-c", script}, run_flags()), {33, 101});
  ASSERT_TRUE(terminal.wait_for("has size 33 101\r\n")) << terminal.text();
  // ctr sends its size before it listens for SIGWINCH (HandleConsoleResize in ctr): a change in
  // between is lost with any shim. Each iteration changes the size.
  bool has_followed = false;
  for (int turn = 0; turn < 30 && !has_followed; ++turn) {
    terminal.resize({44, 201});
    terminal.resize({44, 202});
    has_followed = terminal.wait_for("has size 44 202\r\n", std::chrono::seconds(1) * slowness());
  }
  EXPECT_TRUE(has_followed) << terminal.text();
  EXPECT_TRUE(terminal.wait().ok());
}

TEST_F(ContainersTerminal, LosesNothingOfAMegabyteWrittenBeforeTheExit) {
  Terminal terminal(run_command("web", {"/bin/seq", "1", "150000"}, run_flags()));
  const Outcome outcome = terminal.wait();
  std::string expected;
  for (int i = 1; i <= 150000; ++i) expected += std::to_string(i) + "\r\n";
  EXPECT_TRUE(outcome.ok()) << outcome.exit_code;
  EXPECT_TRUE(outcome.out == expected) << outcome.out.size() << " bytes of " << expected.size();
}

TEST_F(ContainersTerminal, ServesExecsWithATerminalEach) {
  run_detached("web", {"/bin/sleep", "1000"});
  Terminal first(exec_command("web", {"/bin/sh"}, {"--tty"}), {20, 50});
  Terminal second(
      exec_command("web", {"/bin/sh", "-c", until_size_is("30 60") + "; exit 9"}, {"--tty"}),
      {30, 60});
  ASSERT_TRUE(first.wait_for("# ")) << first.text();
  EXPECT_EQ(second.wait().exit_code, 9) << second.text();
  first.type("exit 8\n");
  EXPECT_EQ(first.wait().exit_code, 8) << first.text();
  remove("web");
}

// Go's shim keeps two descriptors of the stdin fifo of each exec.
TEST_F(ContainersTerminal, LeavesNoFileOpenOfExecsThatEnded) {
  run_detached("web", {"/bin/sleep", "1000"});
  const std::vector<std::string> files = open_files_at_rest(only_shim().pid);
  for (int i = 0; i < 3; ++i) {
    Terminal terminal(exec_command("web", {"/bin/true"}, {"--tty"}));
    EXPECT_EQ(terminal.wait().exit_code, 0) << terminal.text();
  }
  EXPECT_TRUE(has_open_files(only_shim().pid, files));
  remove("web");
}

// The client's window is closed; its container keeps running.
TEST_F(ContainersTerminal, OutlivesItsClient) {
  {
    Terminal terminal(run_command("web", {"/bin/sh"}, {"--tty"}));
    ASSERT_TRUE(terminal.wait_for("# ")) << terminal.text();
  }
  EXPECT_EQ(status("web"), "RUNNING");
  remove("web");
}

}  // namespace
}  // namespace thinshim::test
