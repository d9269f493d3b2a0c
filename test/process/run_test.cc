// SPDX-License-Identifier: Apache-2.0
#include "process/run.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
using test::TempDir;

class RunTest : public testing::Test {
 protected:
  Output shell(const std::string& script) {
    Command command;
    command.program = "/bin/sh";
    command.arguments = {"-c", script};
    command.environment = {"PATH=/usr/bin:/bin"};
    return loop_.run(run(reaper_, command));
  }
  static Command sleeper(const std::string& pid_file) {
    Command command;
    command.program = "/bin/sh";
    const std::string unfinished = pid_file + ".new";
    command.arguments = {"-c", "echo $$ > " + unfinished + "; mv " + unfinished + " " + pid_file +
                                   "; exec sleep 60"};
    command.environment = {"PATH=/usr/bin:/bin"};
    return command;
  }
  Task<> set_after(Event& event, Duration time) {
    co_await thinshim::sleep(loop_, time);
    event.set();
  }
  Task<> pass(Duration time) { co_await thinshim::sleep(loop_, time); }
  static Task<> ignore(Task<Output> running) { co_await std::move(running); }

  Loop loop_;
  Reaper reaper_{loop_};
};

TEST_F(RunTest, CollectsBothStreamsAndTheStatus) {
  Output output = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(output.text, "out\nerr\n");
  EXPECT_EQ(output.exit.status, 3);
}

TEST_F(RunTest, OutputAboveTheLimitIsReadAndDropped) {
  Output output = shell("head -c 3000000 /dev/zero >&2; exit 4");
  EXPECT_EQ(output.exit.status, 4);
  EXPECT_EQ(output.text.size(), 65536u);
}

TEST_F(RunTest, DoesNotWaitForDescendantsThatKeepTheOutput) {
  auto begin = std::chrono::steady_clock::now();
  Output output = shell("echo $$; sleep 30 & echo $!");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  kill(std::atoi(output.text.substr(output.text.find('\n') + 1).c_str()), SIGKILL);
}

TEST_F(RunTest, StartFailureIsThrown) {
  Command command;
  command.program = "/nowhere/runc";
  EXPECT_THROW(loop_.run(run(reaper_, command)), Error);
}

TEST_F(RunTest, KillsAProgramThatIsStopped) {
  Command command;
  command.program = "/bin/sleep";
  command.arguments = {"60"};
  Event stop;
  TaskSet tasks;
  tasks.spawn(set_after(stop, 20ms), "stop");
  EXPECT_EQ(loop_.run(run(reaper_, command, &stop)).exit.status, 137);
  EXPECT_EQ(loop_.run(run(reaper_, command, &stop)).exit.status, 137) << "stopped before it began";
}

TEST_F(RunTest, KillsTheProgramWhenTheWaitIsCancelled) {
  TempDir dir;
  TaskSet waiting;
  waiting.spawn(ignore(run(reaper_, sleeper(dir / "pid"))), "run");
  std::optional<pid_t> written;
  for (int i = 0; i < 5000 && !written; ++i) {
    loop_.run(pass(5ms));
    written = read_pid_file(dir / "pid");
  }
  const pid_t pid = written.value();
  EXPECT_EQ(kill(pid, 0), 0);
  waiting.cancel();
  for (int i = 0; i < 1000 && kill(pid, 0) == 0; ++i) loop_.run(pass(5ms));
  EXPECT_NE(kill(pid, 0), 0);
}

Task<> store_failure(Task<Output> running, std::string& failure) {
  try {
    co_await std::move(running);
  } catch (const Error& error) {
    failure = error.what();
  }
}

// Keeps the process from exiting, as a hung disk would, until the pipe is closed. Runs in a process
// of its own, because the tracer's wait(2) returns other events than exits too.
Pipe block_exit(pid_t held) {
  Pipe begun = make_pipe(), over = make_pipe();
  if (fork() == 0) {
    over.write.reset();
    char byte = ptrace(PTRACE_SEIZE, held, nullptr, PTRACE_O_TRACEEXIT) == 0 ? 'y' : 'n';
    check(write(begun.write.get(), &byte, 1), "write");
    while (read(over.read.get(), &byte, 1) < 0) {
    }
    _exit(0);
  }
  char byte = 'n';
  EXPECT_EQ(read(begun.read.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'y') << "traced";
  return over;
}

TEST_F(RunTest, ThrowsIfAProgramDoesNotExitAfterSIGKILL) {
  TempDir dir;
  Event stop;
  std::string failure;
  TaskSet waiting;
  waiting.spawn(store_failure(run(reaper_, sleeper(dir / "pid"), &stop), failure), "run");
  std::optional<pid_t> pid;
  for (int i = 0; i < 5000 && !pid; ++i) {
    loop_.run(pass(5ms));
    pid = read_pid_file(dir / "pid");
  }
  ASSERT_TRUE(pid);
  Pipe holding = block_exit(*pid);
  stop.set();
  loop_.run(waiting.wait_empty());
  EXPECT_EQ(failure, "process " + std::to_string(*pid) + " did not exit after SIGKILL");
  EXPECT_EQ(kill(*pid, 0), 0);
  holding.write.reset();
  for (int i = 0; i < 1000 && kill(*pid, 0) == 0; ++i) loop_.run(pass(5ms));
  EXPECT_NE(kill(*pid, 0), 0) << "it is reaped later";
}

TEST_F(RunTest, KillsForkedWorkThatIsStopped) {
  Event stop;
  TaskSet tasks;
  tasks.spawn(set_after(stop, 20ms), "stop");
  EXPECT_THROW(loop_.run(run_forked(reaper_, "work", [] { ::sleep(60); }, &stop)), Error);
}

TEST_F(RunTest, LeavesNoDescriptorBehind) {
  auto count = [] {
    std::filesystem::directory_iterator begin("/proc/self/fd");
    return std::distance(begin, std::filesystem::directory_iterator());
  };
  shell("true");
  auto before = count();
  for (int i = 0; i < 20; ++i) shell("echo x");
  EXPECT_EQ(count(), before);
}

TEST_F(RunTest, ForkedWorkDoesNotChangeThisProcess) {
  TempDir dir;
  int variable = 1;
  loop_.run(run_forked(reaper_, "work", [&] {
    variable = 2;
    write_file(dir / "made", "by the fork", 0600);
  }));
  EXPECT_EQ(variable, 1);
  EXPECT_EQ(read_file(dir / "made"), "by the fork");
}

TEST_F(RunTest, ForkedWorkThrowsItsError) {
  try {
    loop_.run(
        run_forked(reaper_, "work", [] { throw Error(Code::not_found, "no such mount", ENOENT); }));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no such mount");
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_EQ(error.errnum(), ENOENT);
  }
  EXPECT_THROW(loop_.run(run_forked(reaper_, "work", [] { throw std::runtime_error("other"); })),
               Error);
}

TEST_F(RunTest, ForkedWorkThatIsKilledIsAnError) {
  try {
    loop_.run(run_forked(reaper_, "do it", [] { kill(getpid(), SIGKILL); }));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "do it: the helper process exited with status 137");
  }
}

TEST_F(RunTest, ForkedWorkHasNoneOfOurDescriptors) {
  Pipe pipe = make_pipe();
  set_nonblocking(pipe.read.get(), true);
  int number = pipe.write.get();
  loop_.run(run_forked(reaper_, "work", [number] {
    if (number > 3 && fcntl(number, F_GETFD) != -1)
      throw std::runtime_error("the pipe is open in the fork");
  }));
}

}  // namespace
}  // namespace thinshim
