// SPDX-License-Identifier: Apache-2.0
#include "process/reaper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/proc.h"
#include "process/run.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

Command shell(const std::string& script) {
  Command command;
  command.program = "/bin/sh";
  command.arguments = {"-c", script};
  command.environment = {"PATH=/usr/bin:/bin"};
  return command;
}

Task<Exit> exit_of(Child child) {
  co_await child.wait();
  co_return child.exit();
}
Task<Exit> exit_of_reference(Child& child) {
  co_await child.wait();
  co_return child.exit();
}
Task<> pass(Loop& loop, Duration time) { co_await sleep(loop, time); }

class ReaperTest : public testing::Test {
 protected:
  // No child may be left for the next test, which counts its own.
  void TearDown() override {
    EXPECT_TRUE(eventually([] { return own_children().empty(); }));
  }
  // Starts a process that is reparented to this one, as a container is; returns its pid. `script`
  // must not fork: the child would be reparented too when the shell is killed.
  pid_t orphan(const std::string& script) {
    int pids[2];
    check(pipe2(pids, O_CLOEXEC), "make a pipe");
    const pid_t parent = check(fork(), "fork");
    if (parent == 0) {
      const pid_t pid = fork();
      if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
        _exit(127);
      }
      const bool written = pid > 0 && write(pids[1], &pid, sizeof pid) == sizeof pid;
      _exit(written ? 0 : 1);
    }
    EXPECT_EQ(loop_.run(exit_of(reaper_.take(parent))).status, 0);
    pid_t pid = -1;
    EXPECT_EQ(read(pids[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    for (int end : pids) close(end);
    return pid;
  }
  bool is_zombie(pid_t pid) {
    auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    return stat && stat->find(") Z ") != std::string::npos;
  }
  bool exists(pid_t pid) { return kill(pid, 0) == 0; }
  // Makes zombies that are reparented to this process, and their dead parent.
  void leave_zombies(int count) {
    const pid_t leaver = check(fork(), "fork");
    if (leaver == 0) {
      bool all = true;
      for (int i = 0; i < count; ++i) {
        const pid_t pid = fork();
        if (pid == 0) _exit(0);
        siginfo_t end{};
        all = all && pid > 0 && waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOWAIT) == 0;
      }
      _exit(all ? 0 : 1);
    }
    EXPECT_EQ(loop_.run(exit_of(reaper_.take(leaver))).status, 0);
  }
  // Iterations of the loop, 1000 at most.
  Task<int> turns_until(std::function<bool()> is_so) {
    int turns = 0;
    for (; turns < 1000 && !is_so(); ++turns) co_await yield(loop_);
    co_return turns;
  }
  // The number of read(2) calls of this process so far, without that of this function.
  static std::uint64_t reads() {
    const std::string text = read_file("/proc/self/io").value();
    return std::stoull(text.substr(text.find("syscr: ") + 7));
  }
  template <class Condition>
  bool eventually(Condition condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      loop_.run(pass(loop_, 5ms));
    }
    return false;
  }
  Loop loop_;
  Reaper reaper_{loop_};
};

TEST_F(ReaperTest, ReportsExitCodesAndSignals) {
  EXPECT_EQ(loop_.run(exit_of(reaper_.start(shell("exit 0")))).status, 0);
  EXPECT_EQ(loop_.run(exit_of(reaper_.start(shell("exit 7")))).status, 7);
  EXPECT_EQ(loop_.run(exit_of(reaper_.start(shell("kill -9 $$")))).status, 137);
  EXPECT_EQ(loop_.run(exit_of(reaper_.start(shell("kill -TERM $$")))).status, 143);
}

// Python and shells may start programs that way; the kernel discards exits then.
TEST(ReaperAlone, ReapsThoughSIGCHLDWasIgnored) {
  signal(SIGCHLD, SIG_IGN);
  Loop loop;
  Reaper reaper(loop);
  EXPECT_EQ(loop.run(exit_of(reaper.start(shell("exit 7")))).status, 7);
}

TEST_F(ReaperTest, RecordsTheTimeOfTheExit) {
  timespec before;
  clock_gettime(CLOCK_REALTIME, &before);
  Exit exit = loop_.run(exit_of(reaper_.start(shell("exit 0"))));
  EXPECT_GE(exit.at.tv_sec, before.tv_sec);
  EXPECT_LE(exit.at.tv_sec, before.tv_sec + 60);
}

TEST_F(ReaperTest, ManyAtOnceAreAllDelivered) {
  std::vector<Child> children;
  for (int i = 0; i < 50; ++i)
    children.push_back(reaper_.start(shell("exit " + std::to_string(i))));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(loop_.run(exit_of_reference(children[i])).status, i);
}

TEST_F(ReaperTest, KeepsAnExitUntilItsPidIsAdopted) {
  Reaper::Hold hold = reaper_.hold();
  pid_t pid = orphan("exit 5");
  ASSERT_TRUE(eventually([&] { return is_zombie(pid); }));
  // Other children are reaped behind the zombie that is kept.
  EXPECT_EQ(loop_.run(exit_of(reaper_.start(shell("exit 3")))).status, 3);
  Exit exit = loop_.run(exit_of(reaper_.adopt(pid)));
  EXPECT_EQ(exit.pid, pid);
  EXPECT_EQ(exit.status, 5);
  EXPECT_FALSE(exists(pid));
}

TEST_F(ReaperTest, AdoptsAProcessThatStillRuns) {
  Reaper::Hold hold = reaper_.hold();
  pid_t pid = orphan("exec sleep 60");
  Child child = reaper_.adopt(pid);
  EXPECT_FALSE(child.exited());
  child.signal(SIGKILL);
  EXPECT_EQ(loop_.run(exit_of_reference(child)).status, 137);
  EXPECT_THROW(child.signal(SIGKILL), Error) << "its pid may have been reused";
}

TEST_F(ReaperTest, ReapsUnknownChildrenOnceTheLastHoldEnds) {
  pid_t pid;
  {
    Reaper::Hold first = reaper_.hold();
    {
      Reaper::Hold second = reaper_.hold();
      pid = orphan("exit 0");
      ASSERT_TRUE(eventually([&] { return is_zombie(pid); }));
    }
    loop_.run(pass(loop_, 20ms));
    EXPECT_TRUE(is_zombie(pid));
  }
  EXPECT_FALSE(exists(pid));
}

// A hung runtime must not fill the process table with zombies.
TEST_F(ReaperTest, ReapsOrphansThatAreOlderThanEveryHold) {
  pid_t old = orphan("exec sleep 60");
  loop_.run(pass(loop_, 20ms));  // start times are in hundredths of a second
  Reaper::Hold hold = reaper_.hold();
  pid_t young = orphan("exec sleep 60");
  kill(young, SIGKILL);
  ASSERT_TRUE(eventually([&] { return is_zombie(young); }));
  kill(old, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !exists(old); }));
  EXPECT_TRUE(is_zombie(young));
}

// While a runtime hangs, a container in the host's pid namespace may leave many orphans, which must
// all stay zombies.
TEST_F(ReaperTest, ReadsTheStartTimeOfAKeptOrphanOnce) {
  constexpr std::uint64_t kKept = 100;
  const Reaper::Hold hold = reaper_.hold();
  loop_.run(pass(loop_, 20ms));  // start times are in hundredths of a second
  leave_zombies(kKept);
  ASSERT_TRUE(eventually([&] { return own_children().size() == kKept; })) << own_children().size();
  const std::uint64_t before = reads();
  for (int i = 0; i < 10; ++i) loop_.run(exit_of(reaper_.start(shell("exit 0"))));
  EXPECT_LT(reads() - before, 2 * kKept) << "each of ten exits made it read all start times";
}

TEST_F(ReaperTest, ReapsKeptOrphansWhenTheOldestHoldEnds) {
  std::optional<Reaper::Hold> first = reaper_.hold();
  loop_.run(pass(loop_, 20ms));
  const pid_t older = orphan("exec sleep 60");
  loop_.run(pass(loop_, 20ms));
  const Reaper::Hold second = reaper_.hold();
  loop_.run(pass(loop_, 20ms));
  const pid_t younger = orphan("exit 0");
  kill(older, SIGKILL);
  ASSERT_TRUE(eventually([&] { return is_zombie(older) && is_zombie(younger); }));
  first.reset();
  EXPECT_FALSE(exists(older));
  EXPECT_TRUE(is_zombie(younger));
}

// Whether they are all reaped, or all kept, or read again at the end of a hold.
TEST_F(ReaperTest, LeavesTheLoopToOthersAmongThousandsOfOrphans) {
  constexpr int kOrphans = 1500;
  constexpr int kLeastTurns = 4;  // that one sweep of 256 needs
  std::optional<Reaper::Hold> older = reaper_.hold();
  std::optional<Reaper::Hold> hold = reaper_.hold();
  loop_.run(pass(loop_, 20ms));
  leave_zombies(kOrphans);
  const std::uint64_t before = reads();
  older.reset();  // every start time is read
  const std::uint64_t at_once = reads() - before;
  EXPECT_LT(at_once, static_cast<std::uint64_t>(kOrphans));
  // Two calls for each, of which the second finds the end of the file.
  EXPECT_GE(loop_.run(turns_until([&] { return reads() - before > 2 * kOrphans; })), kLeastTurns);
  EXPECT_EQ(own_children().size(), static_cast<std::size_t>(kOrphans));
  hold.reset();  // all are reaped
  EXPECT_GT(own_children().size(), static_cast<std::size_t>(kOrphans) / 2);
  EXPECT_GE(loop_.run(turns_until([] { return own_children().empty(); })), kLeastTurns);
}

TEST_F(ReaperTest, DoesNotStarveTheLoopWhenChildrenExitFast) {
  const Reaper::Hold hold = reaper_.hold();
  loop_.run(pass(loop_, 20ms));
  leave_zombies(50);
  sigevent how{};
  how.sigev_notify = SIGEV_SIGNAL;
  how.sigev_signo = SIGCHLD;
  timer_t dying;
  check(timer_create(CLOCK_MONOTONIC, &how, &dying), "make a timer");
  const itimerspec all_the_time{{0, 20'000}, {0, 20'000}};
  check(timer_settime(dying, 0, &all_the_time, nullptr), "set a timer");
  std::atomic<bool> is_over = false, is_late = false;
  std::thread end([&] {  // stops the timer that sends SIGCHLD
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!is_over && !is_late) {
      usleep(1000);
      is_late = std::chrono::steady_clock::now() > limit;
    }
    timer_delete(dying);
  });
  loop_.run(pass(loop_, 20ms));
  const bool was_late = is_late;
  is_over = true;
  end.join();
  EXPECT_FALSE(was_late) << "the loop iterated only after the last signal";
}

TEST_F(ReaperTest, ReapsOrphansWithoutAHold) {
  pid_t pid = orphan("exit 0");
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

TEST_F(ReaperTest, RefusesToAdoptAProcessThatIsNotAChild) {
  Reaper::Hold hold = reaper_.hold();
  EXPECT_THROW(reaper_.adopt(getpid()), Error);
  EXPECT_THROW(reaper_.adopt(1), Error);
  Child child = reaper_.start(shell("exit 0"));
  EXPECT_THROW(reaper_.adopt(child.pid()), Error)
      << "a child that is known already cannot be adopted";
  loop_.run(exit_of_reference(child));
}

TEST_F(ReaperTest, ReapsChildrenThatWereDropped) {
  pid_t pid = reaper_.start(shell("exit 0")).pid();
  EXPECT_TRUE(eventually([&] { return !exists(pid); }));
}

TEST_F(ReaperTest, WakesAllWaitersOfAChild) {
  Child child = reaper_.start(shell("sleep 0.05; exit 9"));
  int seen = 0;
  struct Local {
    static Task<> count(Child& child, int& seen) {
      co_await child.wait();
      seen += child.exit().status;
    }
  };
  TaskSet set;
  for (int i = 0; i < 3; ++i) set.spawn(Local::count(child, seen), "count");
  loop_.run(set.wait_empty());
  EXPECT_EQ(seen, 27);
}

}  // namespace
}  // namespace thinshim
