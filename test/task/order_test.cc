// SPDX-License-Identifier: Apache-2.0
// The order of events, in the races of the stock shim's history: processes that exit before their
// pid is known, and an init that exits while execs run.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "support/refused_signals.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Order : public TaskTest {
 protected:
  // As if it exited by itself.
  void die(pid_t pid) { ::kill(pid, SIGKILL); }
  std::size_t position(const std::string& line) const {
    const Lines lines = sink.history();
    return static_cast<std::size_t>(std::find(lines.begin(), lines.end(), line) - lines.begin());
  }
  bool is_published(const std::string& line) const {
    return position(line) < sink.history().size();
  }
  // Runs the loop long enough for an event that must not come.
  void give_time() { pass(150ms); }
};

TEST_F(Order, OfAnInitThatIsDeadBeforeCreateReturns) {
  runtime.after("create", "kill -9 $pid; " + FakeRuntime::wait_until_dead());
  create("c1");
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  EXPECT_REFUSED(start_begin("c1"), unknown, "cannot start a stopped process");
  EXPECT_EQ(remove("c1").exit_status(), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
}

TEST_F(Order, OfAnInitThatIsDeadBeforeStartReturns) {
  runtime.set_program("c1", "exit 7");
  runtime.after("start", "while alive $init; do sleep 0.005; done");
  create("c1");
  start("c1");
  EXPECT_EQ(wait("c1"), 7u);
  remove("c1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exit c1 7", "delete c1 7"}));
}

TEST_F(Order, NoExitIsPublishedWhileTheStartIsUnderWay) {
  runtime.set_program("c1", "exit 7");
  runtime.after("start", runtime.wait_for("told"));
  const pid_t pid = create("c1");
  auto starting = start_begin("c1");
  auto waiting = wait_begin("c1");
  until([&] { return ::kill(pid, 0) != 0; });
  give_time();
  EXPECT_EQ(sink.history(), (Lines{"create c1"}));
  EXPECT_FALSE(waiting->done.is_set());
  EXPECT_EQ(state("c1").status(), types::CREATED);
  runtime.open("told");
  end(starting);
  EXPECT_EQ(end(waiting).exit_status(), 7u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exit c1 7"}));
  remove("c1");
}

TEST_F(Order, AStartThatFailedBecauseInitDiedIsNotPublished) {
  runtime.before("start", runtime.wait_for("dead"));
  const pid_t pid = create("c1");
  auto starting = start_begin("c1");
  until_called("start c1");
  die(pid);
  until([&] { return ::kill(pid, 0) != 0; });
  runtime.open("dead");
  EXPECT_REFUSED(starting, unknown,
                 "OCI runtime start failed: cannot start a container that has stopped");
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137"}));
  remove("c1");
}

// The shim kills the other processes between init's death and the event.
TEST_F(Order, ADeadInitIsNotStartedBeforeItsExitIsPublished) {
  runtime.before("kill", runtime.wait_for("killed"));
  const pid_t pid = create("c1", false);
  die(pid);
  until_called("kill --all c1 9");
  EXPECT_REFUSED(start_begin("c1"), unknown, "cannot start a stopped process");
  runtime.open("killed");
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137"}));
  remove("c1");
}

TEST_F(Order, OfAnExecThatIsDeadBeforeItsStartReturns) {
  runtime.after("exec", FakeRuntime::wait_until_dead());
  run("c1");
  run_exec("c1", "e1", "exit 3");
  EXPECT_EQ(wait("c1", "e1"), 3u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exec-added c1 e1",
                                   "exec-started c1 e1", "exit c1 e1 3"}));
  end_container("c1");
}

TEST_F(Order, OfFiftyExecsAtOnceIsThatOfEach) {
  constexpr int kExecs = 50;
  run("c1");
  std::vector<CallPtr<api::StartResponse>> starting;
  for (int i = 0; i < kExecs; ++i) {
    const std::string id = "e" + std::to_string(i);
    exec("c1", id, "exit " + std::to_string(i));
    starting.push_back(start_begin("c1", id));
  }
  std::set<std::uint32_t> pids;
  for (auto& call : starting) pids.insert(end(call).pid());
  EXPECT_EQ(pids.size(), static_cast<std::size_t>(kExecs));
  for (int i = 0; i < kExecs; ++i) {
    const std::string id = "e" + std::to_string(i);
    EXPECT_EQ(wait("c1", id), static_cast<std::uint32_t>(i));
    EXPECT_EQ(remove("c1", id).exit_status(), static_cast<std::uint32_t>(i));
    const std::size_t added = position("exec-added c1 " + id);
    const std::size_t started = position("exec-started c1 " + id);
    const std::size_t exited = position("exit c1 " + id + " " + std::to_string(i));
    EXPECT_LT(added, started);
    EXPECT_LT(started, exited);
    EXPECT_LT(exited, sink.history().size());
  }
  EXPECT_EQ(sink.count(kTopicExit), static_cast<std::size_t>(kExecs));
  end_container("c1");
}

TEST_F(Order, InitsExitIsPublishedLast) {
  const pid_t pid = run("c1");
  run_exec("c1", "e1", "exec sleep 60");
  const pid_t second = run_exec("c1", "e2", "exec sleep 60");
  auto waiting = wait_begin("c1");
  // The kernel has not killed the others yet: with real containers that takes milliseconds.
  die(pid);
  until([&] { return ::kill(pid, 0) != 0; });
  give_time();
  EXPECT_FALSE(waiting->done.is_set());
  EXPECT_EQ(sink.count(kTopicExit), 0u);
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_REFUSED(exec_begin("c1", "e3", "true"), failed_precondition,
                 "container c1 init process is not running: failed precondition");
  EXPECT_REFUSED(pause_begin("c1"), unknown, "cannot pause a stopped container");
  EXPECT_REFUSED(update_begin("c1", "{}"), unknown, "cannot update a stopped container");
  EXPECT_REFUSED(kill_begin("c1", SIGTERM), not_found, "process already finished: not found");
  auto removing = remove_begin("c1");

  kill("c1", SIGTERM, "e1");
  EXPECT_EQ(wait("c1", "e1"), 143u);
  give_time();
  EXPECT_FALSE(waiting->done.is_set());
  die(second);
  EXPECT_EQ(end(waiting).exit_status(), 137u);
  EXPECT_LT(position("exit c1 e1 143"), position("exit c1 137"));
  EXPECT_LT(position("exit c1 e2 137"), position("exit c1 137"));
  EXPECT_EQ(sink.count(kTopicExit), 3u);
  EXPECT_EQ(end(removing).exit_status(), 137u) << "it has waited for the exit";
  EXPECT_EQ(sink.history().back(), "delete c1 137");
}

TEST_F(Order, InitsExitWaitsForAnExecThatIsBeingStarted) {
  const pid_t pid = run("c1");
  runtime.before("exec", runtime.wait_for("exec"));
  exec("c1", "e1", "true");
  auto starting = start_begin("c1", "e1");
  until_called("exec c1");
  die(pid);
  until([&] { return ::kill(pid, 0) != 0; });
  give_time();
  EXPECT_EQ(sink.count(kTopicExit), 0u);
  runtime.open("exec");
  EXPECT_REFUSED(starting, unknown, "OCI runtime exec failed: cannot exec in a stopped container");
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(sink.count(kTopicExit), 1u);
  remove("c1");
}

TEST_F(Order, ASharedPidNamespaceIsEmptiedWhenInitDies) {
  const pid_t pid = run("c1", false);
  run_exec("c1", "e1", "exec sleep 60");
  run_exec("c1", "e2", "exec sleep 60");
  die(pid);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(runtime.calls().back(), "kill --all c1 9");
  EXPECT_EQ(sink.count(kTopicExit), 3u);
  EXPECT_EQ(sink.history().back(), "exit c1 137");
  EXPECT_TRUE(is_published("exit c1 e1 137") && is_published("exit c1 e2 137"));
  remove("c1");
}

TEST_F(Order, ASharedPidNamespaceIsEmptiedAlsoWhereTheRuntimeCannot) {
  runtime.before("kill", FakeRuntime::fail("no such cgroup"));
  const pid_t pid = run("c1", false);
  run_exec("c1", "e1", "exec sleep 60");
  die(pid);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_TRUE(is_published("exit c1 e1 137"));
  EXPECT_EQ(sink.history().back(), "exit c1 137");
  remove("c1");
}

TEST_F(Order, ASignalThatTheKernelRefusesLosesNoExit) {
  runtime.before("kill", "exit 0");  // does not reach the exec either
  const pid_t pid = run("c1", false);
  const pid_t exec = run_exec("c1", "e1", "exec sleep 60");
  auto waiting = wait_begin("c1");
  const RefusedSignals refused({exec});
  kill_for_sure(pid);
  until([&] { return refused.count() > 0; });
  give_time();
  EXPECT_FALSE(waiting->done.is_set()) << "the exec lives";
  kill_for_sure(exec);
  EXPECT_EQ(wait("c1", "e1"), 137u);
  EXPECT_EQ(end(waiting).exit_status(), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exec-added c1 e1",
                                   "exec-started c1 e1", "exit c1 e1 137", "exit c1 137"}));
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  remove("c1");
}

// It did not exist when the others were killed.
TEST_F(Order, AnExecThatComesIntoASharedPidNamespaceAfterInitsDeathIsKilled) {
  const pid_t pid = run("c1", false);
  runtime.after("exec", runtime.wait_for("exec"));
  exec("c1", "e1", "exec sleep 60");
  runtime.before("kill", "exit 0");
  auto starting = start_begin("c1", "e1");
  until_called("exec c1");
  die(pid);
  until_called("kill --all c1 9");
  pass(50ms);
  runtime.open("exec");
  end(starting);
  EXPECT_EQ(wait("c1", "e1"), 137u);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exec-added c1 e1",
                                   "exec-started c1 e1", "exit c1 e1 137", "exit c1 137"}));
  remove("c1");
}

TEST_F(Order, AnExecThatRunsIsAnsweredThoughASignalForItIsRefused) {
  const pid_t pid = run("c1", false);
  runtime.after("exec", ": >" + (directory / "made") + "; " + runtime.wait_for("exec"));
  exec("c1", "e1", "exec sleep 60");
  runtime.before("kill", "exit 0");
  auto starting = start_begin("c1", "e1");
  until([&] { return std::filesystem::exists(directory / "made"); });
  std::ifstream file(directory / "c1/e1.pid");
  pid_t made = 0;
  file >> made;
  const RefusedSignals refused({made});
  kill_for_sure(pid);
  until_called("kill --all c1 9");
  runtime.open("exec");
  EXPECT_EQ(end(starting).pid(), static_cast<std::uint32_t>(made));
  until([&] { return refused.count() > 0; });
  kill_for_sure(made);
  EXPECT_EQ(wait("c1", "e1"), 137u);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(sink.count(kTopicExit), 2u);
  remove("c1");
}

TEST_F(Order, DeletionComesAfterAllExitsAlsoForAContainerThatWasNeverStarted) {
  create("c1");
  run_exec("c1", "e1", "exec sleep 60");
  remove("c1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exec-added c1 e1", "exec-started c1 e1",
                                   "exit c1 e1 137", "exit c1 137", "delete c1 137"}));
}

TEST_F(Order, ExitsOfSeveralContainersAreNeverMixedUp) {
  constexpr int kContainers = 8;
  for (int i = 0; i < kContainers; ++i) {
    const std::string id = "c" + std::to_string(i);
    runtime.set_program(id, "exit " + std::to_string(10 + i));
    make_bundle(id);
  }
  std::vector<CallPtr<api::CreateTaskResponse>> creating;
  for (int i = 0; i < kContainers; ++i)
    creating.push_back(create_begin(create_request("c" + std::to_string(i))));
  for (auto& call : creating) end(call);
  std::vector<CallPtr<api::StartResponse>> starting;
  for (int i = 0; i < kContainers; ++i) starting.push_back(start_begin("c" + std::to_string(i)));
  for (auto& call : starting) end(call);
  for (int i = 0; i < kContainers; ++i) {
    const std::string id = "c" + std::to_string(i);
    const std::string status = std::to_string(10 + i);
    EXPECT_EQ(wait(id), static_cast<std::uint32_t>(10 + i));
    remove(id);
    EXPECT_EQ(sink.history_of(id),
              (Lines{"create " + id, "start " + id, "exit " + id + " " + status,
                     "delete " + id + " " + status}));
  }
}

}  // namespace
}  // namespace thinshim::test
