// SPDX-License-Identifier: Apache-2.0
// `ctr run` in the foreground, from the creation of a container to its deletion.
#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

class Run : public EndToEnd {};

// The output of `seq FIRST LAST`.
std::string numbers(int first, int last) {
  std::string lines;
  for (int i = first; i <= last; ++i) lines += std::to_string(i) + "\n";
  return lines;
}

TEST_F(Run, ShowsOutputAndErrorsAndPassesTheExitCodeOn) {
  const Outcome outcome =
      run("web", {"/bin/sh", "-c", "echo to stdout; echo to stderr >&2; exit 7"});
  EXPECT_EQ(outcome.exit_code, 7) << outcome;
  EXPECT_EQ(outcome.out, "to stdout\n");
  EXPECT_EQ(outcome.err, "to stderr\n");
}

TEST_F(Run, PassesStdinOnUntilItsEnd) {
  SubprocessOptions options;
  // ctr 1.6 loses an end of file that it reads before the task is created.
  options.keep_input_open = true;
  Subprocess client(run_command("web", {"/bin/cat"}, {"--rm"}), std::move(options));
  client.write("first line\n");
  EXPECT_TRUE(client.wait_for_output("first line\n"));
  client.write("second line\n");
  client.close_input();
  const Outcome outcome = client.wait();
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.out, "first line\nsecond line\n");
}

TEST_F(Run, PassesMoreThroughStdinAndStdoutThanAPipeHolds) {
  const std::string text = numbers(1, 150000);
  const Outcome outcome = run("web", {"/bin/cat"}, {}, text);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out == text) << outcome.out.size() << " bytes of " << text.size();
}

TEST_F(Run, LosesNothingOfAMegabyteWrittenBeforeTheExit) {
  const Outcome outcome =
      run("web", {"/bin/sh", "-c", "seq 1 150000; seq 200000 350000 >&2; exit 3"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(outcome.out == numbers(1, 150000)) << outcome.out.size() << " bytes";
  EXPECT_TRUE(outcome.err == numbers(200000, 350000)) << outcome.err.size() << " bytes";
}

TEST_F(Run, ReportsTheSignalThatEndedTheProgram) {
  // Process 1 ignores signals from its own namespace that it has no handler for: a child of a shell
  // is killed, and the shell passes the code on.
  const Outcome outcome = run("web", {"/bin/sh", "-c", "sh -c 'kill -TERM $$'; exit $?"});
  EXPECT_EQ(outcome.exit_code, 143) << outcome;
}

TEST_F(Run, ReportsAMissingProgramWithRuncsText) {
  const Outcome outcome = run("web", {"/bin/no-such-program"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("OCI runtime create failed"), std::string::npos) << outcome;
  EXPECT_NE(outcome.err.find("/bin/no-such-program"), std::string::npos) << outcome;
  EXPECT_NE(outcome.err.find("o such file or directory"), std::string::npos) << outcome;
}

TEST_F(Run, ReportsAMissingRuntime) {
  const Outcome outcome = run("web", {"/bin/true"}, {"--runc-binary", "/no/such/runtime"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("/no/such/runtime"), std::string::npos) << outcome;
}

TEST_F(Run, ServesAProgramThatExitsBeforeItsStartIsAnswered) {
  for (int i = 0; i < 10; ++i) {
    const Outcome outcome = run("web", {"/bin/true"});
    EXPECT_TRUE(outcome.ok()) << outcome;
  }
}

TEST_F(Run, ServesTenContainersThatRunAtOnce) {
  std::vector<Subprocess> clients;
  for (int i = 0; i < 10; ++i) {
    const std::string number = std::to_string(i);
    clients.emplace_back(
        run_command("web-" + number, {"/bin/sh", "-c", "echo I am $0; exit $0", number}, {"--rm"}));
  }
  for (int i = 0; i < 10; ++i) {
    const Outcome outcome = clients[static_cast<size_t>(i)].wait();
    EXPECT_EQ(outcome.exit_code, i) << outcome;
    EXPECT_EQ(outcome.out, "I am " + std::to_string(i) + "\n");
  }
}

}  // namespace
}  // namespace thinshim::test
