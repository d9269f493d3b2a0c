// SPDX-License-Identifier: Apache-2.0
// Kill for a runtime that need not be run for it.
#include <signal.h>

#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class DirectSignal : public TaskTest {
 protected:
  std::size_t runtime_kills() const {
    const Lines seen = runtime.calls();
    return static_cast<std::size_t>(std::ranges::count_if(
        seen, [](const std::string& call) { return call.starts_with("kill"); }));
  }
};

TEST_F(DirectSignal, EndsAContainerWithoutTheRuntime) {
  create("c1");
  kill("c1", SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
  run("c2");
  kill("c2", SIGTERM);
  EXPECT_EQ(wait("c2"), 143u);
  EXPECT_REFUSED(kill_begin("c2", SIGTERM), not_found, "process already finished: not found");
  remove("c2");
  EXPECT_EQ(runtime_kills(), 0u);
}

// A shell that was just started has no trap yet; as the first process of its pid namespace it would
// ignore the signal.
TEST_F(DirectSignal, BehindAStartFindsAProcessThatHasHadTimeToSetItsHandlers) {
  for (const bool direct : {true, false}) {
    options.direct_signals = direct;
    create("c1");
    const std::uint64_t began = loop.now();
    start("c1");
    auto first = kill_begin("c1", SIGURG);
    auto second = kill_begin("c1", SIGTERM);
    EXPECT_EQ(state("c1").status(), types::RUNNING) << "no other call waits";
    end(first);
    EXPECT_GE(loop.now() - began, 30u);
    end(second);
    EXPECT_EQ(wait("c1"), 143u);
    remove("c1");
  }
}

TEST_F(DirectSignal, ToAnExecThatWasJustStartedFindsOneThatHasHadTimeToSetItsHandlers) {
  run("c1");
  exec("c1", "e1", "sleep 60");
  const std::uint64_t began = loop.now();
  start("c1", "e1");
  kill("c1", SIGTERM, "e1");
  EXPECT_GE(loop.now() - began, 30u);
  EXPECT_EQ(wait("c1", "e1"), 143u);
  end_container("c1");
}

TEST_F(DirectSignal, DuringAStartWaitsForIt) {
  create("c1");
  runtime.before("start", runtime.wait_for("started"));
  auto starting = start_begin("c1");
  until_called("start c1");
  auto killing = kill_begin("c1", SIGTERM);
  pass(50ms);
  EXPECT_FALSE(killing->done.is_set());
  const std::uint64_t began = loop.now();
  runtime.open("started");
  end(starting);
  end(killing);
  EXPECT_GE(loop.now() - began, 30u);
  EXPECT_EQ(wait("c1"), 143u);
  EXPECT_EQ(runtime_kills(), 0u);
  remove("c1");
}

TEST_F(DirectSignal, ThatKillsOrComesBeforeTheStartWaitsForNoHandlers) {
  options.signal_delay = 1h;
  for (const bool started : {true, false}) {
    started ? run("c1") : create("c1");
    kill("c1", started ? SIGKILL : SIGTERM);
    EXPECT_EQ(wait("c1"), started ? 137u : 143u);
    remove("c1");
  }
}

// The signal before it still waits for handlers.
TEST_F(DirectSignal, ThatKillsDoesNotWaitForTheOneBefore) {
  options.signal_delay = 1h;
  run("c1");
  run_exec("c1", "e1", "exec sleep 60");
  for (const std::string& exec : {std::string("e1"), std::string()}) {
    auto terminating = kill_begin("c1", SIGTERM, exec);
    pass(10ms);
    EXPECT_FALSE(terminating->done.is_set());
    kill("c1", SIGKILL, exec);
    EXPECT_EQ(wait("c1", exec), 137u);
    EXPECT_REFUSED(terminating, not_found, "process already finished: not found");
  }
  remove("c1", "e1");
  remove("c1");
}

TEST_F(DirectSignal, ToAProcessThatDiesBeforeItsHandlersAreThereIsRefused) {
  options.signal_delay = 1h;
  const pid_t pid = run("c1");
  auto killing = kill_begin("c1", SIGTERM);
  pass(10ms);
  EXPECT_FALSE(killing->done.is_set());
  ::kill(pid, SIGKILL);
  EXPECT_REFUSED(killing, not_found, "process already finished: not found");
  remove("c1");
}

TEST_F(DirectSignal, WithAnInvalidNumberIsRefused) {
  run("c1");
  EXPECT_REFUSED(kill_begin("c1", 4711), unknown,
                 "unknown error after kill: kill process " + std::to_string(state("c1").pid()) +
                     ": invalid argument");
  EXPECT_REFUSED(kill_begin("c9", SIGTERM), not_found, "container not created: not found");
  end_container("c1");
}

TEST_F(DirectSignal, ForAllIsLeftToTheRuntime) {
  run("c1");
  kill("c1", SIGKILL, "", true);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(runtime.calls().back(), "kill --all c1 9");
  remove("c1");
}

// With the freezer of cgroup v1 a frozen process does not die.
TEST_F(DirectSignal, ThatKillsAPausedContainerIsLeftToTheRuntime) {
  run("c1");
  end(pause_begin("c1"));
  kill("c1", SIGURG);
  EXPECT_EQ(runtime_kills(), 0u) << "any other waits until it is thawed, as it does with runc";
  kill("c1", SIGKILL);
  EXPECT_EQ(runtime_kills(), 1u);
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
}

TEST_F(DirectSignal, WaitsForNoOtherVerb) {
  run("c1");
  runtime.before("update", runtime.wait_for("updated"));
  auto updating = update_begin("c1", "{}");
  until_called("update c1");
  const std::uint64_t began = loop.now();
  kill("c1", SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_LT(loop.now() - began, 5000u);
  runtime.open("updated");
  end(updating);
  remove("c1");
}

TEST_F(DirectSignal, DuringAPauseIsLeftToTheRuntime) {
  run("c1");
  runtime.before("pause", runtime.wait_for("paused"));
  auto pausing = pause_begin("c1");
  until_called("pause c1");
  auto killing = kill_begin("c1", SIGKILL);
  pass(50ms);
  EXPECT_FALSE(killing->done.is_set());
  runtime.open("paused");
  end(pausing);
  end(killing);
  EXPECT_EQ(runtime_kills(), 1u);
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
}

}  // namespace
}  // namespace thinshim::test
