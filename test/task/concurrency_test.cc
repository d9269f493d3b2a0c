// SPDX-License-Identifier: Apache-2.0
// Concurrent calls: clients that disconnect, two equal calls, queries while a runtime hangs.
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Concurrency : public TaskTest {
 protected:
  // Closes the client's connection, and waits until the server has noticed.
  void hang_up(Client& other) {
    other.close();
    until([&] { return server->connections() <= 1; });
  }
  std::size_t times_called(const std::string& call) const {
    const Lines lines = runtime.calls();
    return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), call));
  }
};

// --- a client that disconnects during its call

// containerd forgets the container, and does not delete it.
TEST_F(Concurrency, ACreateWithoutItsClientIsUndoneAtItsEnd) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  auto other = another_client();
  auto creating = create_begin(create_request("c1"), other.get());
  until_called("create c1");
  hang_up(*other);
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  runtime.open("create");
  until([&] { return sink.count(kTopicDelete) == 1 && service_under_test->being_created() == 0; });
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
  EXPECT_TRUE(creating->error.has_value());
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  EXPECT_TRUE(own_children().empty());
  runtime.behave();
  run("c1");
  end_container("c1");
}

// After the shim's exit containerd cleans up, and no later process does.
TEST_F(Concurrency, ACreateWithoutItsClientIsUndoneBeforeTheShimsEnd) {
  runtime.after("create", runtime.wait_for("never"));
  make_bundle("c1");
  auto other = another_client();
  auto creating = create_begin(create_request("c1"), other.get());
  until_called("create c1");
  until([&] { return !read_file(directory / "c1/init.pid").value_or("").empty(); });
  const pid_t container = read_pid_file(directory / "c1/init.pid").value();
  hang_up(*other);
  loop.run(service_under_test->creates_finished());
  EXPECT_FALSE(runtime.knows("test", "c1"));
  EXPECT_NE(::kill(container, 0), 0) << "it has been reaped";
  until([] { return own_children().empty(); });  // processes of the script
}

TEST_F(Concurrency, ACreateThatFailsWithoutItsClientLeavesNothing) {
  runtime.before("create", runtime.wait_for("create") + "; " + FakeRuntime::fail("too late"));
  make_bundle("c1");
  api::CreateTaskRequest request = request_with_mount("c1");
  auto other = another_client();
  auto creating = create_begin(request, other.get());
  until_called("create c1");
  EXPECT_EQ(mounts().size(), 1u);
  hang_up(*other);
  runtime.open("create");
  until([&] { return mounts().empty() && own_children().empty(); });
  EXPECT_EQ(sink.history(), Lines());
  runtime.behave();
  create("c1");
  remove("c1");
}

TEST_F(Concurrency, ACreateWhoseTimeIsOverIsUndoneAtItsEnd) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  bool late = false;
  try {
    await(client.call<api::CreateTaskResponse>(service, "Create", create_request("c1"), 50ms));
  } catch (const Error& error) {
    late = error.code() == Code::deadline_exceeded;
  }
  EXPECT_TRUE(late);
  EXPECT_REFUSED(create_begin(create_request("c1")), already_exists,
                 "container c1: already exists");
  runtime.open("create");
  until([&] { return sink.count(kTopicDelete) == 1 && service_under_test->being_created() == 0; });
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  EXPECT_TRUE(own_children().empty());
  runtime.behave();
  run("c1");
  end_container("c1");
}

TEST_F(Concurrency, StartRunsToItsEndWithoutItsClient) {
  runtime.before("start", runtime.wait_for("start"));
  create("c1");
  auto other = another_client();
  auto starting = start_begin("c1", "", other.get());
  until_called("start c1");
  hang_up(*other);
  runtime.open("start");
  until([&] { return sink.count(kTopicStart) == 1; });
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  end_container("c1");
}

TEST_F(Concurrency, AnExecsStartRunsToItsEndWithoutItsClient) {
  runtime.before("exec", runtime.wait_for("exec"));
  run("c1");
  exec("c1", "e1", "exit 4");
  auto other = another_client();
  auto starting = start_begin("c1", "e1", other.get());
  until_called("exec c1");
  hang_up(*other);
  runtime.open("exec");
  EXPECT_EQ(wait("c1", "e1"), 4u);
  EXPECT_EQ(sink.count(kTopicExecStarted), 1u);
  end_container("c1");
}

TEST_F(Concurrency, DeleteRunsToItsEndWithoutItsClient) {
  runtime.before("delete", runtime.wait_for("delete"));
  run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  auto other = another_client();
  auto removing = remove_begin("c1", "", other.get());
  until_called("delete c1");
  hang_up(*other);
  runtime.open("delete");
  until([&] { return sink.count(kTopicDelete) == 1; });
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
}

TEST_F(Concurrency, KillRunsToItsEndWithoutItsClient) {
  options.direct_signals = false;
  runtime.before("kill", runtime.wait_for("kill"));
  run("c1");
  auto other = another_client();
  api::KillRequest request;
  request.set_id("c1");
  request.set_signal(SIGKILL);
  auto killing = begin<Empty>("Kill", request, other.get());
  until_called("kill c1 9");
  hang_up(*other);
  runtime.open("kill");
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
}

TEST_F(Concurrency, ADeadlineEndsTheWaitingAndNotTheWork) {
  runtime.before("start", runtime.wait_for("start"));
  create("c1");
  api::StartRequest request;
  request.set_id("c1");
  bool late = false;
  try {
    await(client.call<api::StartResponse>(service, "Start", request, 50ms));
  } catch (const Error& error) {
    late = error.code() == Code::deadline_exceeded;
  }
  EXPECT_TRUE(late);
  runtime.open("start");
  until([&] { return sink.count(kTopicStart) == 1; });
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  end_container("c1");
}

// --- two equal calls

TEST_F(Concurrency, TwoDeletesAtOnceAreOne) {
  runtime.before("delete", runtime.wait_for("delete"));
  const pid_t pid = run("c1");
  kill("c1", SIGTERM);
  wait("c1");
  auto other = another_client();
  auto first = remove_begin("c1");
  auto second = remove_begin("c1", "", other.get());
  auto third = remove_begin("c1");
  until_called("delete c1");
  runtime.open("delete");
  for (const auto& call : {first, second, third}) {
    api::DeleteResponse removed = end(call);
    EXPECT_EQ(removed.pid(), static_cast<std::uint32_t>(pid));
    EXPECT_EQ(removed.exit_status(), 143u);
    EXPECT_EQ(removed.exited_at().seconds(), end(first).exited_at().seconds());
    EXPECT_EQ(removed.exited_at().nanos(), end(first).exited_at().nanos());
  }
  EXPECT_EQ(times_called("delete c1"), 1u);
  EXPECT_EQ(sink.count(kTopicDelete), 1u);
  EXPECT_REFUSED(remove_begin("c1"), not_found, "container not created: not found");
}

TEST_F(Concurrency, TheSecondDeleteDoesNotNeedTheFirstsClient) {
  runtime.before("delete", runtime.wait_for("delete"));
  run("c1");
  kill("c1", SIGTERM);
  wait("c1");
  auto other = another_client();
  auto first = remove_begin("c1", "", other.get());
  until_called("delete c1");
  auto second = remove_begin("c1");
  hang_up(*other);
  runtime.open("delete");
  EXPECT_EQ(end(second).exit_status(), 143u);
  EXPECT_EQ(sink.count(kTopicDelete), 1u);
}

TEST_F(Concurrency, ASecondDeleteTriesAgainWhereTheFirstFailed) {
  runtime.before("delete", runtime.wait_for("delete") + "; [ -e $base/tried ] || { touch " +
                               "$base/tried; fail busy; }");
  run("c1");
  kill("c1", SIGTERM);
  wait("c1");
  auto first = remove_begin("c1");
  auto second = remove_begin("c1");
  until_called("delete c1");
  runtime.open("delete");
  EXPECT_REFUSED(first, unknown, "failed to delete task: busy");
  EXPECT_EQ(end(second).exit_status(), 143u);
  EXPECT_EQ(sink.count(kTopicDelete), 1u);
}

TEST_F(Concurrency, TwoCreatesOfOneIdAreOneAndARefusal) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  auto first = create_begin(create_request("c1"));
  until_called("create c1");
  EXPECT_REFUSED(create_begin(create_request("c1")), already_exists,
                 "container c1: already exists");
  runtime.open("create");
  EXPECT_NE(end(first).pid(), 0u);
  EXPECT_EQ(times_called("create c1"), 1u);
  remove("c1");
}

TEST_F(Concurrency, TwoStartsOfOneContainerAreOneAndARefusal) {
  runtime.before("start", runtime.wait_for("start"));
  create("c1");
  auto first = start_begin("c1");
  auto second = start_begin("c1");
  until_called("start c1");
  runtime.open("start");
  end(first);
  EXPECT_REFUSED(second, unknown, "cannot start a running process");
  EXPECT_EQ(times_called("start c1"), 1u);
  EXPECT_EQ(sink.count(kTopicStart), 1u);
  end_container("c1");
}

TEST_F(Concurrency, ADeleteBehindAStartWaitsForIt) {
  runtime.before("start", runtime.wait_for("start"));
  create("c1");
  auto starting = start_begin("c1");
  auto removing = remove_begin("c1");
  until_called("start c1");
  runtime.open("start");
  end(starting);
  EXPECT_REFUSED(removing, unknown, "cannot delete a running process");
  end_container("c1");
}

TEST_F(Concurrency, AStartBehindADeleteIsRefused) {
  options.direct_signals = false;
  runtime.before("delete", runtime.wait_for("delete"));
  create("c1");
  auto removing = remove_begin("c1");
  until_called("delete c1");
  auto starting = start_begin("c1");
  auto killing = kill_begin("c1", SIGKILL);
  runtime.open("delete");
  end(removing);
  EXPECT_REFUSED(starting, unknown, "cannot start a deleted process");
  EXPECT_REFUSED(killing, not_found, "process already finished: not found");
}

TEST_F(Concurrency, AKillBehindADeleteIsRefusedWhereTheDeathComesLast) {
  options.direct_signals = false;
  runtime.before("delete", runtime.wait_for("delete") + "\nexit 0");
  const pid_t pid = create("c1");
  auto removing = remove_begin("c1");
  until_called("delete c1");
  auto killing = kill_begin("c1", SIGKILL);
  runtime.open("delete");
  until([&] { return own_children() == std::vector<pid_t>{pid}; });
  ::kill(pid, SIGKILL);
  end(removing);
  EXPECT_REFUSED(killing, not_found, "process already finished: not found");
}

TEST_F(Concurrency, DeletionAnswersTheWaitsForAnExecThatNeverRan) {
  run("c1");
  exec("c1", "e1", "true");
  exec("c1", "e2", "true");
  auto first = wait_begin("c1", "e1");
  auto second = wait_begin("c1", "e2");
  remove("c1", "e2");
  EXPECT_EQ(end(second).exit_status(), 0u);
  end_container("c1");
  EXPECT_EQ(end(first).exit_status(), 0u);
  until([&] { return server->requests_in_flight() == 0; });
}

// --- queries while a runtime hangs

class Question : public Concurrency {
 protected:
  // All are answered at once; `c1` runs.
  void expect_answers_about_c1() {
    EXPECT_EQ(state("c1").status(), types::RUNNING);
    EXPECT_NE(end(connect_begin("c1")).task_pid(), 0u);
    end(pids_begin("c1"));
    exec("c1", "probe", "exit 0");
    EXPECT_EQ(state("c1", "probe").status(), types::CREATED);
    remove("c1", "probe");
  }
};

TEST_F(Question, IsAnsweredWhileAnotherContainersCreateHangs) {
  run("c1");
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c2");
  auto creating = create_begin(create_request("c2"));
  until_called("create c2");
  expect_answers_about_c1();
  EXPECT_EQ(run_exec("c1", "e1", "exit 0") > 0, true);
  wait("c1", "e1");
  EXPECT_REFUSED(state_begin("c2"), not_found, "container not created: not found");
  EXPECT_REFUSED(pids_begin("c2"), not_found, "container not created: not found");
  EXPECT_REFUSED(wait_begin("c2"), not_found, "container not created: not found");
  EXPECT_REFUSED(remove_begin("c2"), not_found, "container not created: not found");
  EXPECT_EQ(end(connect_begin("c2")).task_pid(), 0u);
  end_container("c1");
  runtime.open("create");
  end(creating);
  remove("c2");
}

// A client may query its container before its Create was answered (nerdctl, whose input has ended).
TEST_F(Question, WaitsForACreateThatIsUnderWay) {
  runtime.before("create", runtime.wait_for("create"));
  make_bundle("c1");
  auto creating = create_begin(create_request("c1"));
  until_called("create c1");
  auto asking = state_begin("c1");
  auto closing = close_begin("c1");
  pass(20ms);
  EXPECT_FALSE(asking->done.is_set());
  EXPECT_FALSE(closing->done.is_set());
  runtime.open("create");
  EXPECT_EQ(end(asking).status(), types::CREATED);
  end(closing);
  end(creating);
  remove("c1");
}

TEST_F(Question, AboutAContainerWhoseCreateFailsIsAnsweredThen) {
  runtime.before("create", runtime.wait_for("create") + "; " + FakeRuntime::fail("no"));
  make_bundle("c1");
  auto creating = create_begin(create_request("c1"));
  until_called("create c1");
  auto asking = state_begin("c1");
  pass(20ms);
  EXPECT_FALSE(asking->done.is_set());
  runtime.open("create");
  EXPECT_REFUSED(asking, not_found, "container not created: not found");
  refusal_of(creating);
}

TEST_F(Question, IsAnsweredWhileStartHangs) {
  run("c1");
  runtime.before("start", runtime.wait_for("start"));
  const pid_t pid = create("c2");
  auto starting = start_begin("c2");
  until_called("start c2");
  expect_answers_about_c1();
  EXPECT_EQ(state("c2").status(), types::CREATED);
  EXPECT_EQ(end(connect_begin("c2")).task_pid(), static_cast<std::uint32_t>(pid));
  end(pids_begin("c2"));
  auto waiting = wait_begin("c2");
  pass(20ms);
  EXPECT_FALSE(waiting->done.is_set());
  runtime.open("start");
  end(starting);
  end_container("c1");
  end_container("c2");
}

TEST_F(Question, IsAnsweredWhileAnExecsStartHangs) {
  run("c1");
  runtime.before("exec", runtime.wait_for("exec"));
  exec("c1", "e1", "exit 9");
  auto starting = start_begin("c1", "e1");
  until_called("exec c1");
  expect_answers_about_c1();
  EXPECT_EQ(state("c1", "e1").status(), types::CREATED);
  auto waiting = wait_begin("c1", "e1");
  kill("c1", 0) /* the container's own verbs go on */;
  runtime.open("exec");
  end(starting);
  EXPECT_EQ(end(waiting).exit_status(), 9u);
  end_container("c1");
}

TEST_F(Question, IsAnsweredWhileDeleteHangs) {
  run("c1");
  run("c2");
  kill("c2", SIGKILL);
  wait("c2");
  runtime.before("delete", runtime.wait_for("delete"));
  auto removing = remove_begin("c2");
  until_called("delete c2");
  expect_answers_about_c1();
  EXPECT_EQ(state("c2").status(), types::STOPPED);
  EXPECT_EQ(wait("c2"), 137u);
  EXPECT_NE(end(connect_begin("c2")).task_pid(), 0u);
  end(pids_begin("c2"));
  runtime.open("delete");
  end(removing);
  end_container("c1");
}

// A signal may end the shim at any time.
TEST_F(Concurrency, TheServicesEndInTheMiddleOfEverythingLeaksNothing) {
  options.direct_signals = false;
  run("c0");
  run("c1");
  create("c2");
  run("c3");
  kill("c3", SIGKILL);
  wait("c3");
  exec("c0", "e1", "exec sleep 60");
  make_bundle("c4");
  for (const char* verb : {"create", "start", "exec", "kill", "delete"})
    runtime.before(verb, "exec sleep 60");
  auto creating = create_begin(create_request("c4"));
  auto starting = start_begin("c2");
  auto executing = start_begin("c0", "e1");
  auto killing = kill_begin("c1", SIGTERM);
  auto removing = remove_begin("c3");
  auto waiting = wait_begin("c0");
  for (const char* call : {"create c4", "start c2", "exec c0", "kill c1 15", "delete c3"})
    until_called(call);
  calls.cancel();
  serving.cancel();
  server.reset();
  service_under_test.reset();
  for (pid_t pid : own_children()) ::kill(pid, SIGKILL);
  until([] { return own_children().empty(); });
}

}  // namespace
}  // namespace thinshim::test
