// SPDX-License-Identifier: Apache-2.0
#include "process/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "process/launch.h"
#include "process/open_files.h"
#include "process/run.h"
#include "support/hung_file_system.h"
#include "support/own_mounts.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::HungFileSystem;
using test::TempDir;

class CommandTest : public testing::Test {
 protected:
  Output shell(const std::string& script, Command command = {}) {
    command.program = "/bin/sh";
    command.arguments = {"-c", script};
    return loop_.run(run(reaper_, command));
  }
  Loop loop_;
  Reaper reaper_{loop_};
};

TEST_F(CommandTest, PassesArgumentsAndOnlyTheGivenEnvironment) {
  Command command;
  command.environment = {"A=1", "B=x y"};
  command.program = "/usr/bin/env";
  EXPECT_EQ(loop_.run(run(reaper_, command)).text, "A=1\nB=x y\n");
  EXPECT_EQ(shell("echo \"$0\"").text, "/bin/sh\n");
}

TEST_F(CommandTest, MayHaveAnotherNameThanItsProgram) {
  Command command;
  command.name = "sh-of-another-name";
  EXPECT_EQ(shell("tr '\\0' ' ' </proc/$$/cmdline", command).text.substr(0, 22),
            "sh-of-another-name -c ");
}

TEST_F(CommandTest, RunsInTheGivenDirectory) {
  Command command;
  command.directory = "/proc";
  EXPECT_EQ(shell("pwd", command).text, "/proc\n");
}

TEST_F(CommandTest, GetsItsDescriptorsByNumberAndNoOthers) {
  Pipe secret = make_pipe();
  ASSERT_EQ(fcntl(secret.read.get(), F_SETFD, 0), 0);  // is closed without close-on-exec too
  Pipe pipe = make_pipe();
  // Sources and targets overlap.
  Command command;
  command.fds = {-1, -1, -1, pipe.write.get()};
  Output output = shell("ls /proc/self/fd | tr '\\n' ' '; echo hello >&3", command);
  // ls itself opens one more.
  EXPECT_EQ(output.text, "0 1 2 3 4 ");
  pipe.write.reset();
  EXPECT_EQ(read_all(pipe.read.get(), 100, "read"), "hello\n");
}

// Raises the limit, opens more descriptors than the old limit, and exits with the status of a
// program that checks its limits against its arguments.
[[noreturn]] void start_above_its_limit(const rlimit& limit) {
  ::setrlimit(RLIMIT_NOFILE, &limit);
  raise_open_files_limit();
  std::vector<Pipe> many;
  while (many.size() < limit.rlim_cur) many.push_back(make_pipe());
  Command command;
  command.program = "/bin/sh";
  command.arguments = {"-c", "[ $(ulimit -Sn) = $0 ] && [ $(ulimit -Hn) = $1 ]",
                       std::to_string(limit.rlim_cur), std::to_string(limit.rlim_max)};
  int status = 0;
  ::waitpid(start_command(command).pid(), &status, 0);
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 100);
}

TEST_F(CommandTest, MayOpenAsManyFilesAsBeforeTheLimitWasRaised) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  const pid_t pid = check(::_Fork(), "fork");
  if (pid == 0) start_above_its_limit({40, usual.rlim_max});
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST_F(CommandTest, SwappedDescriptorsArriveSwapped) {
  Pipe a = make_pipe(), b = make_pipe();
  Command command;
  command.program = "/bin/sh";
  command.arguments = {"-c", "echo one >&1; echo two >&2"};
  command.fds = {-1, b.write.get(), a.write.get()};
  Child child = reaper_.start(command);
  a.write.reset();
  b.write.reset();
  EXPECT_EQ(read_all(a.read.get(), 100, "read"), "two\n");
  EXPECT_EQ(read_all(b.read.get(), 100, "read"), "one\n");
}

TEST_F(CommandTest, StartsWithDefaultSignals) {
  signal(SIGPIPE, SIG_IGN);
  for (int number : {SIGINT, SIGQUIT}) signal(number, SIG_DFL);  // a shell's `&` ignores them
  EXPECT_NE(shell("grep -E 'SigBlk|SigIgn' /proc/self/status")
                .text.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"),
            std::string::npos);
}

TEST_F(CommandTest, MayLeadItsOwnProcessGroup) {
  Command command;
  command.own_group = true;
  EXPECT_EQ(shell("test $(ps -o pgid= -p $$) = $$ && echo own", command).text, "own\n");
}

TEST_F(CommandTest, ReportsWhyAProgramCannotBeStarted) {
  TempDir dir;
  write_file(dir / "text", "no program", 0600);
  struct {
    std::string program, reason;
  } cases[] = {{"/nowhere/runc", "fork/exec /nowhere/runc: no such file or directory"},
               {dir / "text", "fork/exec " + dir.path() + "/text: permission denied"},
               {"", "exec: \"\": executable file not found in $PATH"},
               {"no-such-program-anywhere",
                "exec: \"no-such-program-anywhere\": executable file not found in $PATH"}};
  for (const auto& [program, reason] : cases) {
    try {
      Command command;
      command.program = program;
      loop_.run(run(reaper_, command));
      ADD_FAILURE() << program << " was started";
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), reason);
      EXPECT_NE(error.errnum(), 0);
    }
  }
}

TEST_F(CommandTest, DoesNotChangeHugePagesOfTheShim) {
  ASSERT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  EXPECT_EQ(shell("grep THP_enabled /proc/self/status").text, "THP_enabled:\t1\n");
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

// Sets PATH; the destructor restores it.
class Path {
 public:
  explicit Path(const std::string& directories) { setenv("PATH", directories.c_str(), 1); }
  ~Path() { setenv("PATH", before_.c_str(), 1); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

 private:
  const std::string before_ = getenv("PATH");
};

TEST_F(CommandTest, FindsProgramsInPath) {
  TempDir dir;
  for (const char* name : {"directory/mine", "text", "b"}) make_directories(dir / name, 0755);
  write_file(dir / "text/mine", "no program", 0600);
  write_file(dir / "b/mine", "#!/bin/sh\necho \"$0\"\n", 0700);
  Command command;
  command.program = "mine";
  const Path path("/nowhere:" + (dir / "directory") + ":" + (dir / "text") + ":" + (dir / "b"));
  EXPECT_EQ(loop_.run(run(reaper_, command)).text, dir / "b/mine\n");
}

TEST_F(CommandTest, TakesTheFirstExecutableInPathEvenIfExecveFails) {
  TempDir dir;
  make_directories(dir / "b", 0755);
  write_file(dir / "mine", "#!/nowhere/sh\n", 0700);
  write_file(dir / "b/mine", "#!/bin/sh\n", 0700);
  Command command;
  command.program = "mine";
  const Path path(dir.path() + ":" + (dir / "b"));
  try {
    loop_.run(run(reaper_, command));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), "fork/exec " + (dir / "mine") + ": no such file or directory");
  }
}

// A security module, or the mount, may refuse a program that has an executable bit.
TEST_F(CommandTest, NamesTheProgramInPathThatMayNotBeRun) {
  test::have_own_mounts();
  TempDir dir;
  for (const char* name : {"a", "b"}) make_directories(dir / name, 0755);
  check(mount("none", (dir / "a").c_str(), "tmpfs", MS_NOEXEC, nullptr), "mount");
  write_file(dir / "a/mine", "#!/bin/sh\n", 0700);
  Command command;
  command.program = "mine";
  const Path path((dir / "a") + ":" + (dir / "b"));
  std::string failure;
  try {
    loop_.run(run(reaper_, command));
  } catch (const Error& error) {
    failure = error.what();
  }
  EXPECT_EQ(failure, "fork/exec " + (dir / "a/mine") + ": permission denied");
  write_file(dir / "b/mine", "#!/bin/sh\necho found\n", 0700);
  EXPECT_EQ(loop_.run(run(reaper_, command)).text, "found\n");
  check(umount((dir / "a").c_str()), "umount");
}

// A program whose file, working directory or directory of PATH is on a hung file system.
class HungCommand : public CommandTest {
 protected:
  static void SetUpTestSuite() { test::have_own_mounts(); }
  static Task<> store_failure(Task<Output> running, std::string& failure) {
    try {
      co_await std::move(running);
    } catch (const Error& error) {
      failure = error.what();
    }
  }
  Task<> pass(Duration time) { co_await thinshim::sleep(loop_, time); }

  // Other programs run while execve(2) hangs; the start can be cancelled and leaves no process.
  void expect_blocks_nothing(const Command& command) {
    Event stop;
    std::string failure;
    TaskSet waiting;
    waiting.spawn(store_failure(run(reaper_, command, &stop), failure), "run");
    ASSERT_TRUE(hung_.is_waited_for());
    const std::vector<pid_t> children = own_children();
    EXPECT_EQ(shell("echo meanwhile").text, "meanwhile\n");
    EXPECT_FALSE(waiting.empty());
    stop.set();
    loop_.run(waiting.wait_empty());
    EXPECT_NE(failure.find("did not exit after SIGKILL"), std::string::npos) << failure;
    EXPECT_EQ(own_children(), children) << "it hangs in the kernel";
    hung_.end();
    for (int i = 0; i < 2000 && !own_children().empty(); ++i) loop_.run(pass(Duration(5)));
    EXPECT_EQ(own_children(), std::vector<pid_t>());
  }

  TempDir dir_;
  HungFileSystem hung_{dir_ / "hung"};
};

TEST_F(HungCommand, BlocksNothingIfItsFileHangs) {
  Command command;
  command.program = hung_.file();
  expect_blocks_nothing(command);
}

TEST_F(HungCommand, BlocksNothingIfADirectoryOfPathHangs) {
  Command command;
  command.program = "mine";
  const Path path((dir_ / "hung") + ":/usr/bin:/bin");
  expect_blocks_nothing(command);
}

TEST_F(HungCommand, BlocksNothingIfItsWorkingDirectoryHangs) {
  Command command;
  command.program = "/bin/true";
  command.directory = dir_ / "hung/directory";
  expect_blocks_nothing(command);
}

TEST_F(HungCommand, HasOnlyItsOwnDescriptorsAndItsOwnName) {
  Command command;
  command.program = hung_.file();
  const Child child = reaper_.start(command);
  ASSERT_TRUE(hung_.is_waited_for());
  EXPECT_EQ(entries_of("/proc/" + std::to_string(child.pid()) + "/fd").size(), 3u);
  EXPECT_EQ(read_proc_file(child.pid(), "comm"), std::string(kLaunchName) + "\n");
  hung_.end();
}

TEST(Environment, IsInheritedWithoutTheNamedVariables) {
  setenv("NOTIFY_SOCKET", "/x", 1);
  setenv("THINSHIM_TEST", "1", 1);
  std::vector<std::string> environment = inherited_environment({"NOTIFY_SOCKET"});
  int kept = 0;
  for (const std::string& entry : environment) {
    EXPECT_NE(entry.rfind("NOTIFY_SOCKET=", 0), 0u);
    kept += entry == "THINSHIM_TEST=1";
  }
  EXPECT_EQ(kept, 1);
}

}  // namespace
}  // namespace thinshim
