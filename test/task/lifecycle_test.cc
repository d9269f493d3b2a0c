// SPDX-License-Identifier: Apache-2.0
// The usual life of containers and execs, and what is refused in it, with the stock shim's codes
// and texts (containerd, cmd/containerd-shim-runc-v2).
#include <signal.h>
#include <unistd.h>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Lifecycle : public TaskTest {};

constexpr std::int64_t kGoZeroTime = -62135596800;

TEST_F(Lifecycle, OfAContainerIsPublishedInOrderAndInFull) {
  make_bundle("c1");
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdin("/dev/null");
  const pid_t pid = static_cast<pid_t>(end(create_begin(request)).pid());
  EXPECT_EQ(::kill(pid, 0), 0);
  EXPECT_EQ(state("c1").status(), types::CREATED);
  EXPECT_EQ(start("c1"), pid);

  api::StateResponse running = state("c1");
  EXPECT_EQ(running.id(), "c1");
  EXPECT_EQ(running.bundle(), directory / "c1");
  EXPECT_EQ(running.pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(running.status(), types::RUNNING);
  EXPECT_EQ(running.stdin(), "/dev/null");
  EXPECT_EQ(running.exit_status(), 0u);
  EXPECT_EQ(running.exited_at().seconds(), kGoZeroTime);
  EXPECT_EQ(end(connect_begin("c1")).task_pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(end(connect_begin("c1")).shim_pid(), static_cast<std::uint32_t>(::getpid()));

  kill("c1", SIGTERM);
  api::WaitResponse waited = end(wait_begin("c1"));
  EXPECT_EQ(waited.exit_status(), 143u);
  api::StateResponse stopped = state("c1");
  EXPECT_EQ(stopped.status(), types::STOPPED);
  EXPECT_EQ(stopped.pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(stopped.exit_status(), 143u);
  api::DeleteResponse removed = remove("c1");
  EXPECT_EQ(removed.pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(removed.exit_status(), 143u);

  EXPECT_EQ(runtime.calls(), (Lines{"create c1", "start c1", "delete c1"}));
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exit c1 143", "delete c1 143"}));
  auto created = sink.get<events::TaskCreate>(kTopicCreate);
  EXPECT_EQ(created.bundle(), directory / "c1");
  EXPECT_EQ(created.io().stdin(), "/dev/null");
  EXPECT_EQ(created.pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(sink.get<events::TaskStart>(kTopicStart).pid(), static_cast<std::uint32_t>(pid));
  auto exited = sink.get<events::TaskExit>(kTopicExit);
  EXPECT_EQ(exited.id(), "c1");
  EXPECT_EQ(exited.pid(), static_cast<std::uint32_t>(pid));
  auto deleted = sink.get<events::TaskDelete>(kTopicDelete);
  EXPECT_EQ(deleted.pid(), static_cast<std::uint32_t>(pid));
  for (const auto& time :
       {waited.exited_at(), stopped.exited_at(), removed.exited_at(), deleted.exited_at()}) {
    EXPECT_EQ(time.seconds(), exited.exited_at().seconds());
    EXPECT_EQ(time.nanos(), exited.exited_at().nanos());
  }
}

TEST_F(Lifecycle, OfAnExecIsPublishedInOrderAndInFull) {
  run("c1");
  exec("c1", "e1", "sleep 60");
  EXPECT_EQ(state("c1", "e1").status(), types::CREATED);
  EXPECT_EQ(state("c1", "e1").pid(), 0u);
  const pid_t pid = start("c1", "e1");
  EXPECT_EQ(state("c1", "e1").status(), types::RUNNING);
  EXPECT_EQ(state("c1", "e1").id(), "e1");
  EXPECT_EQ(state("c1", "e1").pid(), static_cast<std::uint32_t>(pid));
  kill("c1", SIGKILL, "e1");
  EXPECT_EQ(wait("c1", "e1"), 137u);
  api::DeleteResponse removed = remove("c1", "e1");
  EXPECT_EQ(removed.pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(removed.exit_status(), 137u);
  EXPECT_REFUSED(state_begin("c1", "e1"), not_found, "process does not exist e1: not found");
  EXPECT_EQ(state("c1").status(), types::RUNNING) << "the container itself lives on";

  run_exec("c1", "e1", "exit 7") /* the id is free again */;
  EXPECT_EQ(wait("c1", "e1"), 7u);
  end_container("c1");
  EXPECT_EQ(sink.history_of("c1"),
            (Lines{"create c1", "start c1", "exec-added c1 e1", "exec-started c1 e1",
                   "exit c1 e1 137", "exec-added c1 e1", "exec-started c1 e1", "exit c1 e1 7",
                   "exit c1 137", "delete c1 137"}));
  EXPECT_EQ(sink.get<events::TaskExecStarted>(kTopicExecStarted).pid(),
            static_cast<std::uint32_t>(pid));
}

TEST_F(Lifecycle, KeepsItsFilesInTheBundleForTheCleanup) {
  const pid_t pid = run("c1");
  Bundle bundle(directory / "c1");
  EXPECT_EQ(read_pid_file(bundle.init_pid()), pid);
  EXPECT_EQ(bundle.read_address(), "unix://" + socket);
  EXPECT_EQ(bundle.read_runtime(), runtime.binary());
  EXPECT_EQ(bundle.read_options()->root(), runtime.root());
  run_exec("c1", "e1", "exit 0");
  wait("c1", "e1");
  EXPECT_NE(read_pid_file(bundle.exec_pid("e1")), std::nullopt);
  remove("c1", "e1");
  EXPECT_EQ(read_pid_file(bundle.exec_pid("e1")), std::nullopt);
  end_container("c1");
}

// The fake runtime leaves its containers in this test's own cgroup, which must not be the answer.
TEST_F(Lifecycle, NamesItsOwnProcessesWithoutACgroupOfItsOwn) {
  const pid_t init = run("c1");
  const pid_t exec = run_exec("c1", "e1", "exec sleep 60");
  const api::PidsResponse pids = end(pids_begin("c1"));
  ASSERT_EQ(pids.processes_size(), 2);
  EXPECT_EQ(pids.processes(0).pid(), static_cast<std::uint32_t>(init));
  EXPECT_FALSE(pids.processes(0).has_info());
  EXPECT_EQ(pids.processes(1).pid(), static_cast<std::uint32_t>(exec));
  containerd::runc::v1::ProcessDetails details;
  ASSERT_TRUE(details.ParseFromString(pids.processes(1).info().value()));
  EXPECT_EQ(details.exec_id(), "e1");
  kill("c1", SIGKILL, "e1");
  wait("c1", "e1");
  end_container("c1");
}

TEST_F(Lifecycle, NamesTheInitThatHasEndedUntilItIsDeleted) {
  const pid_t init = run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  const api::PidsResponse pids = end(pids_begin("c1"));
  ASSERT_EQ(pids.processes_size(), 1);
  EXPECT_EQ(pids.processes(0).pid(), static_cast<std::uint32_t>(init));
  remove("c1");
}

TEST_F(Lifecycle, EndsWithTheContainerForOneThatWasNeverStarted) {
  create("c1");
  api::DeleteResponse removed = remove("c1");
  EXPECT_EQ(removed.exit_status(), 137u);
  EXPECT_NE(removed.exited_at().seconds(), kGoZeroTime);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
}

TEST_F(Lifecycle, OfManyContainersIsOneEach) {
  for (int i = 0; i < 5; ++i) run("c" + std::to_string(i));
  kill("c3", SIGKILL);
  EXPECT_EQ(wait("c3"), 137u);
  for (int i : {0, 1, 2, 4}) EXPECT_EQ(state("c" + std::to_string(i)).status(), types::RUNNING);
  remove("c3");
  for (int i : {4, 2, 0, 1}) end_container("c" + std::to_string(i));
}

TEST_F(Lifecycle, RefusesWhatAnUnknownContainerCannotDo) {
  const std::string text = "container not created: not found";
  EXPECT_REFUSED(state_begin("x"), not_found, text);
  EXPECT_REFUSED(start_begin("x"), not_found, text);
  EXPECT_REFUSED(start_begin("x", "e"), not_found, text);
  EXPECT_REFUSED(remove_begin("x"), not_found, text);
  EXPECT_REFUSED(pids_begin("x"), not_found, text);
  EXPECT_REFUSED(kill_begin("x", SIGKILL), not_found, text);
  EXPECT_REFUSED(exec_begin("x", "e", "true"), not_found, text);
  EXPECT_REFUSED(wait_begin("x"), not_found, text);
  api::ResizePtyRequest resize;
  EXPECT_REFUSED(begin<Empty>("ResizePty", resize), not_found, text);
  api::CloseIORequest close;
  EXPECT_REFUSED(begin<Empty>("CloseIO", close), not_found, text);
  EXPECT_EQ(end(connect_begin("x")).task_pid(), 0u) << "containerd's restart depends on it";
  EXPECT_TRUE(runtime.calls().empty());
}

TEST_F(Lifecycle, RefusesWhatAnUnknownExecCannotDo) {
  run("c1");
  const std::string text = "process does not exist e1: not found";
  EXPECT_REFUSED(state_begin("c1", "e1"), not_found, text);
  EXPECT_REFUSED(start_begin("c1", "e1"), not_found, text);
  EXPECT_REFUSED(remove_begin("c1", "e1"), not_found, text);
  EXPECT_REFUSED(kill_begin("c1", SIGKILL, "e1"), not_found, text);
  EXPECT_REFUSED(wait_begin("c1", "e1"), not_found, text);
  api::ResizePtyRequest resize;
  resize.set_id("c1");
  resize.set_exec_id("e1");
  EXPECT_REFUSED(begin<Empty>("ResizePty", resize), not_found, text);
  api::CloseIORequest close;
  close.set_id("c1");
  close.set_exec_id("e1");
  EXPECT_REFUSED(begin<Empty>("CloseIO", close), not_found, text);
  end_container("c1");
}

TEST_F(Lifecycle, RefusesASecondStartAndADeletionWhileRunning) {
  run("c1");
  EXPECT_REFUSED(start_begin("c1"), unknown, "cannot start a running process");
  EXPECT_REFUSED(remove_begin("c1"), unknown, "cannot delete a running process");
  run_exec("c1", "e1", "exec sleep 60");
  EXPECT_REFUSED(start_begin("c1", "e1"), unknown, "cannot start a running process");
  EXPECT_REFUSED(remove_begin("c1", "e1"), unknown, "cannot delete a running process");
  kill("c1", SIGKILL, "e1");
  wait("c1", "e1");
  EXPECT_REFUSED(start_begin("c1", "e1"), unknown, "cannot start a stopped process");
  kill("c1", SIGKILL);
  wait("c1");
  EXPECT_REFUSED(start_begin("c1"), unknown, "cannot start a stopped process");
  EXPECT_REFUSED(exec_begin("c1", "e2", "true"), unknown, "cannot exec in a stopped state");
  remove("c1");
  EXPECT_EQ(runtime.calls(), (Lines{"create c1", "start c1", "exec c1", "delete c1"}))
      << "what is refused starts no runtime";
}

TEST_F(Lifecycle, RefusesAnIdThatIsTaken) {
  run("c1");
  EXPECT_REFUSED(create_begin(create_request("c1")), already_exists,
                 "container c1: already exists");
  exec("c1", "e1", "true");
  EXPECT_REFUSED(exec_begin("c1", "e1", "true"), already_exists, "id e1: already exists");
  EXPECT_EQ(sink.count(kTopicExecAdded), 1u);
  end_container("c1");
}

TEST_F(Lifecycle, LetsAnExecBeAddedBeforeTheContainerIsStarted) {
  create("c1");
  const pid_t pid = run_exec("c1", "e1", "exec sleep 60");
  EXPECT_EQ(::kill(pid, 0), 0);
  start("c1");
  kill("c1", SIGKILL, "e1");
  EXPECT_EQ(wait("c1", "e1"), 137u);
  end_container("c1");
}

TEST_F(Lifecycle, LetsAnExecBeDeletedThatWasNeverStarted) {
  run("c1");
  exec("c1", "e1", "true");
  api::DeleteResponse removed = remove("c1", "e1");
  EXPECT_EQ(removed.pid(), 0u);
  EXPECT_EQ(removed.exited_at().seconds(), kGoZeroTime);
  EXPECT_EQ(sink.count(kTopicExit), 0u);
  exec("c1", "e1", "true");
  end_container("c1");
}

TEST_F(Lifecycle, LetsAnyNumberWait) {
  run("c1");
  std::vector<CallPtr<api::WaitResponse>> waiting;
  for (int i = 0; i < 1000; ++i) waiting.push_back(wait_begin("c1"));
  auto other = another_client();
  for (int i = 0; i < 1000; ++i) waiting.push_back(wait_begin("c1", "", other.get()));
  until([&] { return server->requests_in_flight() == 2000; });
  other->close();
  until([&] { return server->requests_in_flight() == 1000; });
  kill("c1", SIGKILL);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(end(waiting[i]).exit_status(), 137u);
  for (int i = 1000; i < 2000; ++i) EXPECT_TRUE(waiting[i]->error.has_value());
  EXPECT_EQ(wait("c1"), 137u) << "and later on";
  remove("c1");
}

// --- Kill

TEST_F(Lifecycle, KillOfACreatedContainerEndsIt) {
  create("c1");
  kill("c1", SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_REFUSED(start_begin("c1"), unknown, "cannot start a stopped process");
  remove("c1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
}

TEST_F(Lifecycle, KillOfAStoppedContainerFindsNothing) {
  run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  EXPECT_REFUSED(kill_begin("c1", SIGKILL), not_found, "process already finished: not found");
  kill("c1", SIGKILL, "", true);
  EXPECT_EQ(runtime.calls().back(), "kill --all c1 9") << "something else may live in it";
  remove("c1");
}

TEST_F(Lifecycle, KillReportsTheRuntimesErrorsInTheStockShimsWords) {
  options.direct_signals = false;
  run("c1");
  struct {
    const char* reason;
    Code code;
    const char* text;
  } table[] = {
      {"container not running", Code::not_found, "process already finished: not found"},
      {"os: process already finished", Code::not_found, "process already finished: not found"},
      {"No such process", Code::not_found, "process already finished: not found"},
      {"container does not exist", Code::not_found, "no such container: not found"},
      {"permission denied", Code::unknown, "unknown error after kill: permission denied"},
  };
  for (const auto& row : table) {
    for (const char* verb : {"kill", "state"}) runtime.before(verb, FakeRuntime::fail(row.reason));
    Error error = refusal_of(kill_begin("c1", SIGTERM));
    EXPECT_EQ(error.code(), row.code) << row.reason;
    EXPECT_EQ(error.what(), std::string(row.text));
  }
  runtime.behave();
  end_container("c1");
}

TEST_F(Lifecycle, KillOfAnExecReachesItAlone) {
  run("c1");
  exec("c1", "e1", "exec sleep 60");
  EXPECT_REFUSED(kill_begin("c1", SIGKILL, "e1"), failed_precondition,
                 "process not created: failed precondition");
  start("c1", "e1");
  run_exec("c1", "e2", "exec sleep 60");
  Error error = refusal_of(kill_begin("c1", 999, "e1"));
  EXPECT_EQ(error.code(), Code::unknown);
  EXPECT_TRUE(contains(error, "exec kill error: unknown error after kill: ")) << error.what();
  EXPECT_TRUE(contains(error, "invalid argument")) << error.what();
  kill("c1", SIGTERM, "e1");
  EXPECT_EQ(wait("c1", "e1"), 143u);
  EXPECT_REFUSED(kill_begin("c1", SIGTERM, "e1"), not_found, "process already finished: not found");
  EXPECT_EQ(state("c1", "e2").status(), types::RUNNING);
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  kill("c1", SIGKILL, "e2");
  wait("c1", "e2");
  end_container("c1");
}

TEST_F(Lifecycle, KillAllReachesEveryProcess) {
  run("c1");
  run_exec("c1", "e1", "exec sleep 60");
  kill("c1", SIGKILL, "", true);
  EXPECT_EQ(wait("c1", "e1"), 137u);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(runtime.calls().back(), "kill --all c1 9");
  remove("c1");
}

}  // namespace
}  // namespace thinshim::test
