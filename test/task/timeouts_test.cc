// SPDX-License-Identifier: Apache-2.0
// Hung runtimes, for which the shim waits as long as it ever does: up to half a minute. Each test
// hangs several at the same time.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "cgroup/cgroup.h"
#include "support/eventually.h"
#include "support/hung_file_system.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

class Timeouts : public TaskTest {
 protected:
  static bool unified() { return cgroup_version() == CgroupVersion::v2; }
  // A group of this controller, which is gone again after the test.
  std::string make_group(const std::string& controller) {
    group_ = (unified() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller) +
             "/thinshim-task-test-" + std::to_string(::getpid());
    std::filesystem::create_directory(group_);
    return group_;
  }
  // One of 16 MiB.
  std::string make_memory_group() {
    if (unified()) write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory", 0);
    make_group("memory");
    write_file(group_ + (unified() ? "/memory.max" : "/memory.limit_in_bytes"), "16777216", 0);
    if (std::filesystem::exists(group_ + "/memory.swap.max"))
      write_file(group_ + "/memory.swap.max", "0", 0);
    return group_;
  }
  void TearDown() override {
    TaskTest::TearDown();
    EXPECT_TRUE(group_.empty() || eventually([&] { return ::rmdir(group_.c_str()) == 0; }));
  }

 private:
  std::string group_;
};

// Where it has no pid namespace of its own, the runtime freezes a container to kill all of it.
TEST_F(Timeouts, DoNotWaitForAContainerThatADeadRuntimeHasFrozen) {
  const std::string group = make_group("freezer");
  const std::string state = group + (unified() ? "/cgroup.freeze" : "/freezer.state");
  const auto set_frozen = [&](bool frozen) {
    const std::string word = unified() ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
    return "echo " + word + " > " + state;
  };
  for (const char* verb : {"create", "exec"})
    runtime.after(verb, "echo $pid > " + group + "/cgroup.procs");
  const pid_t pid = run("c1", false);
  run_exec("c1", "e1", "exec sleep 60");
  runtime.before("kill", set_frozen(true) + "; kill -9 $$");
  runtime.after("resume", set_frozen(false));
  const std::uint64_t began = loop.now();
  ::kill(pid, SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(wait("c1", "e1"), 137u);
  EXPECT_LT(loop.now() - began, 5000u);
  remove("c1", "e1");
  remove("c1");
}

// Three containers: the runtime of `shared` hangs when it should kill the other processes of init's
// pid namespace, and the terminals of an exec in `c0` and of `c1` never come.
TEST_F(Timeouts, EndTheWaitForAHungRuntime) {
  runtime.before("kill", "[ $id != shared ] || " + std::string("exec sleep 60"));
  const pid_t pid = run("shared", false);
  run_exec("shared", "e1", "exec sleep 60");
  run("c0");
  make_bundle("c1");
  api::CreateTaskRequest request = create_request("c1");
  request.set_terminal(true);
  auto creating = create_begin(request);
  api::ExecProcessRequest exec;
  exec.set_id("c0");
  exec.set_exec_id("e1");
  exec.set_terminal(true);
  exec.mutable_spec()->set_value(R"({"args":["exec sleep 60"]})");
  call<Empty>("Exec", exec);
  auto starting = start_begin("c0", "e1");
  ::kill(pid, SIGKILL);

  EXPECT_EQ(wait("shared"), 137u);
  EXPECT_EQ(sink.history_of("shared").back(), "exit shared 137");
  EXPECT_EQ(sink.history_of("shared").size(), 6u) << "the exec was killed without the runtime";
  remove("shared");
  EXPECT_FALSE(creating->done.is_set());
  const std::string text = "failed to retrieve console master: timed out after 30s";
  EXPECT_REFUSED(creating, unknown, text);
  EXPECT_REFUSED(starting, unknown, text);
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  end_container("c0");
}

// The runtime's root and the path of a stream, that the shim itself would open.
TEST_F(Timeouts, OfPathsOnAHungFileSystemDelayNoOtherCall) {
  run("c0");
  for (const char* id : {"c1", "c2", "c3"}) make_bundle(id);
  HungFileSystem hung(directory / "hung");
  const std::size_t others = own_children().size();
  const auto until_looked_up = [&](std::size_t paths) {
    until([&] { return own_children().size() == others + paths; });
  };
  api::CreateTaskRequest output = create_request("c1");
  output.set_stdout(directory / "hung/stdout");
  api::CreateTaskRequest input = create_request("c2");
  input.set_stdin(directory / "hung/stdin");
  auto writing = create_begin(output);
  auto reading = create_begin(input);
  until_looked_up(2);  // both have read their options
  options.runc.set_root(directory / "hung/root");
  auto creating = create_begin(create_request("c3"));
  for (int i = 0; i < 20; ++i, pass(10ms)) {
    const std::uint64_t began = loop.now();
    EXPECT_EQ(state("c0").status(), types::RUNNING);
    EXPECT_LT(loop.now() - began, 5000u);
  }
  until_looked_up(3);
  ASSERT_TRUE(hung.is_waited_for());
  const std::string failed = "failed to create init process I/O: open ",
                    late = ": timed out after 10s";
  EXPECT_REFUSED(writing, unknown, failed + output.stdout() + late);
  EXPECT_REFUSED(reading, unknown, failed + input.stdin() + late);
  EXPECT_REFUSED(creating, unknown,
                 "OCI runtime create failed: open " + (directory / "hung/root/test/c3") + late);
  hung.end();
  until([] { return own_children().size() == 1; });
  end_container("c0");
}

// The runtime of an exec hangs: before it has created the process, or after that.
TEST_F(Timeouts, KeepAHungExecFromBlockingInitsExit) {
  for (const bool made : {false, true}) {
    SCOPED_TRACE(made);
    const std::string id = made ? "c1" : "c0";
    runtime.behave();
    const std::string hangs = directory / ("hangs-" + id), hang = ": >" + hangs + "; exec sleep 60";
    (made ? runtime.after("exec", hang) : runtime.before("exec", hang));
    const pid_t pid = run(id);
    exec(id, "e1", "exec sleep 60");
    auto starting = start_begin(id, "e1");
    until([&] { return std::filesystem::exists(hangs); });
    ::kill(pid, SIGKILL);
    EXPECT_EQ(wait(id), 137u);
    EXPECT_REFUSED(starting, unknown, "OCI runtime exec failed: runtime timed out and was killed");
    EXPECT_EQ(sink.history_of(id).back(), "exit " + id + " 137");
    EXPECT_EQ(sink.history_of(id).size(), 4u) << "the exec never ran";
    until([] { return own_children().empty(); });
    remove(id, "e1");
    remove(id);
  }
}

// An OOM kill is published after the pending starts, which all have the same limit of five seconds.
TEST_F(Timeouts, OfHungExecsDelayAnOomEventByOneLimit) {
  runtime.after("create", "echo $pid > " + make_memory_group() + "/cgroup.procs");
  runtime.set_program("c1", "until [ -e " + (directory / "eat") +
                                " ]; do sleep 0.01; done; tail /dev/zero & exec sleep 60");
  run("c1");
  runtime.before("exec", "exec sleep 60");
  std::vector<CallPtr<api::StartResponse>> starting;
  for (const char* id : {"e1", "e2", "e3", "e4"}) {
    exec("c1", id, "true");
    starting.push_back(start_begin("c1", id));
  }
  until_called("exec c1", 4);
  const std::uint64_t began = loop.now();
  std::ofstream(directory / "eat") << "now";
  until([&] { return sink.count(kTopicOom) > 0; });
  EXPECT_LT(loop.now() - began, 9000u);
  for (pid_t child : own_children()) ::kill(child, SIGKILL);
  for (auto& call : starting) refusal_of(call);
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
}

// A start and a pause whose runtime hangs when init dies. SIGKILL finds no process, and Delete
// cancels the calls before it.
TEST_F(Timeouts, KeepAHungVerbFromBlockingInitsExit) {
  const pid_t pid = create("c1");
  const pid_t paused = run("c2");
  for (const char* verb : {"start", "pause"}) runtime.before(verb, "exec sleep 60");
  auto starting = start_begin("c1");
  auto pausing = pause_begin("c2");
  until_called("start c1");
  until_called("pause c2");
  ::kill(pid, SIGKILL);
  ::kill(paused, SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  EXPECT_EQ(wait("c2"), 137u);
  EXPECT_FALSE(starting->done.is_set());
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  EXPECT_REFUSED(kill_begin("c1", SIGKILL), not_found, "process already finished: not found");
  auto removing = remove_begin("c1");
  remove("c2");
  end(removing);
  const std::string killed = " failed: runtime timed out and was killed";
  EXPECT_REFUSED(starting, unknown, "OCI runtime start" + killed);
  EXPECT_REFUSED(pausing, unknown, "OCI runtime pause" + killed);
  EXPECT_EQ(sink.history_of("c1"), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
  EXPECT_EQ(sink.history_of("c2"),
            (Lines{"create c2", "start c2", "exit c2 137", "delete c2 137"}));
}

// Otherwise a shim that is killed meanwhile would have lost it, and `delete` would report 137.
TEST_F(Timeouts, KeepAnUnpublishedExitInTheBundle) {
  runtime.before("pause", "exec sleep 60");
  const pid_t pid = run("c1");
  auto pausing = pause_begin("c1");
  until_called("pause c1");
  const std::string file = state("c1").bundle() + "/exit.json";
  ::kill(pid, SIGTERM);
  until([&] { return std::filesystem::exists(file); });
  EXPECT_EQ(sink.history_of("c1"), (Lines{"create c1", "start c1"})) << "it waits for the pause";
  EXPECT_EQ(wait("c1"), 143u);
  remove("c1");
  refusal_of(pausing);
}

// A start, a pause and a resume that succeed long after their process has died.
TEST_F(Timeouts, KeepALateVerbFromPublishingAfterTheExit) {
  const pid_t pid = create("c1");
  const pid_t paused = run("c2");
  const pid_t resumed = run("c3");
  end(pause_begin("c3"));
  for (const char* verb : {"start", "pause", "resume"})
    runtime.before(verb, runtime.wait_for("late") + "; exit 0");
  auto starting = start_begin("c1");
  auto pausing = pause_begin("c2");
  auto resuming = resume_begin("c3");
  for (const char* call : {"start c1", "pause c2", "resume c3"}) until_called(call);
  for (const pid_t dead : {pid, paused, resumed}) ::kill(dead, SIGKILL);
  for (const char* id : {"c1", "c2", "c3"}) EXPECT_EQ(wait(id), 137u);
  runtime.open("late");
  EXPECT_REFUSED(starting, unknown, "cannot start a stopped process");
  EXPECT_REFUSED(pausing, unknown, "cannot pause a stopped container");
  EXPECT_REFUSED(resuming, unknown, "cannot resume a stopped container");
  for (const char* id : {"c1", "c2", "c3"}) {
    EXPECT_EQ(sink.history_of(id).back(), std::string("exit ") + id + " 137");
    remove(id);
  }
}

// A second Delete joins the first, which takes longer than the limit of a verb before a SIGKILL.
TEST_F(Timeouts, OfASecondDeleteDoNotEndTheFirst) {
  ::kill(run("c1"), SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  runtime.before("delete", "sleep 12");
  auto first = remove_begin("c1");
  until_called("delete c1");
  auto second = remove_begin("c1");
  EXPECT_REFUSED(kill_begin("c1", SIGKILL), not_found, "process already finished: not found");
  EXPECT_EQ(end(first).exit_status(), 137u);
  EXPECT_EQ(end(second).exit_status(), 137u);
}

// A client that has disconnected, or has timed out, makes other calls later.
TEST_F(Timeouts, EndCallsAfterTheClientHasDisconnected) {
  options.direct_signals = false;
  const pid_t pid = run("c1");
  exec("c1", "e1", "exec sleep 60");
  create("c2");
  run("c3");
  run("c4");
  ::kill(run("c5"), SIGKILL);
  EXPECT_EQ(wait("c5"), 137u);
  make_bundle("c6");
  api::CreateTaskRequest request = request_with_mount("c6");
  runtime.after("exec", "exec sleep 60");
  for (const char* verb : {"create", "start", "kill", "delete"})
    runtime.before(verb, "exec sleep 60");

  auto other = another_client();
  create_begin(request, other.get());
  start_begin("c1", "e1", other.get());
  start_begin("c2", "", other.get());
  remove_begin("c5", "", other.get());
  api::KillRequest kill_request;
  kill_request.set_id("c3");
  kill_request.set_signal(SIGKILL);
  begin<Empty>("Kill", kill_request, other.get());
  bool late = false;
  kill_request.set_id("c4");
  try {
    await(client.call<Empty>(service, "Kill", kill_request, 50ms));
  } catch (const Error& error) {
    late = error.code() == Code::deadline_exceeded;
  }
  EXPECT_TRUE(late);
  for (const char* call :
       {"create c6", "exec c1", "start c2", "kill c3 9", "kill c4 9", "delete c5"})
    until_called(call);
  other->close();
  pass(kGracePeriod / 2);
  EXPECT_EQ(mounts().size(), 1u) << "not at once";
  runtime.behave();

  until([&] {
    return mounts().empty() && own_children().size() == 4 &&
           service_under_test->being_created() == 0;
  });
  create("c6");
  EXPECT_EQ(end(pids_begin("c1")).processes_size(), 1) << "the exec was killed";
  EXPECT_EQ(state("c1").pid(), static_cast<std::uint32_t>(pid));
  EXPECT_EQ(sink.count(kTopicExecStarted), 0u);
  start("c2");
  remove("c5");
  remove("c6");
  for (const char* id : {"c1", "c2", "c3", "c4"}) end_container(id);
}

// The client disconnects during a slow mount by a helper.
TEST_F(Timeouts, OfAMountHelperLeaveNoMountAndNoProcessThatMountsLater) {
  make_bundle("c1");
  const std::string gate = directory / "gate";
  const std::string late = "until [ -e " + gate + " ]; do sleep 0.01; done; mount -t tmpfs late ";
  std::ofstream(directory / "mount.fuse3") << "#!/bin/sh\n"
                                           << "echo $1 >> " << directory / "begun" << "\n"
                                           << "setsid sh -c '" << late << "'\"$2\" &\n"
                                           << late << "\"$2\"; wait\n";
  ::chmod((directory / "mount.fuse3").c_str(), 0755);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (directory.path() + ":" + path).c_str(), 1);
  api::CreateTaskRequest request = request_with_mount("c1");
  containerd::types::Mount* mount = request.add_rootfs();
  mount->set_type("fuse3.slow");
  mount->set_source("slow");
  auto other = another_client();
  auto creating = create_begin(request, other.get());
  until([&] { return std::filesystem::exists(directory / "begun"); });
  EXPECT_EQ(mounts().size(), 1u);
  other->close();
  until([&] { return service_under_test->being_created() == 0; });
  ::setenv("PATH", path.c_str(), 1);
  std::ofstream(gate) << "open";
  until([] { return own_children().empty(); });
  EXPECT_EQ(mounts(), Lines());
  EXPECT_EQ(runtime.calls(), Lines()) << "there was nothing to run it for";
  EXPECT_REFUSED(state_begin("c1"), not_found, "container not created: not found");
  run("c1");
  end_container("c1");
}

// A Create and a Delete whose runtime never returns, and whose client waits.
TEST_F(Timeouts, EndCallsAfterTheirDeadline) {
  ::kill(run("c1"), SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  make_bundle("c2");
  api::CreateTaskRequest creating = request_with_mount("c2");
  api::DeleteRequest removing;
  removing.set_id("c1");
  for (const char* verb : {"create", "delete"}) runtime.before(verb, "exec sleep 60");
  int late = 0;
  const auto be_late = [&](auto call) {
    try {
      await(std::move(call));
    } catch (const Error& error) {
      late += error.code() == Code::deadline_exceeded;
    }
  };
  be_late(client.call<api::CreateTaskResponse>(service, "Create", creating, 50ms));
  be_late(client.call<api::DeleteResponse>(service, "Delete", removing, 50ms));
  EXPECT_EQ(late, 2);
  until_called("create c2");
  until_called("delete c1");
  auto again = remove_begin("c1");
  pass(kGracePeriod / 2);
  EXPECT_EQ(mounts().size(), 1u) << "not at once";
  EXPECT_FALSE(again->done.is_set()) << "it waits for the first";
  runtime.behave();

  EXPECT_EQ(end(again).exit_status(), 137u);
  until([&] { return mounts().empty() && own_children().empty(); });
  EXPECT_EQ(sink.history_of("c2"), Lines()) << "it never was";
  EXPECT_REFUSED(state_begin("c2"), not_found, "container not created: not found");
  run("c2");
  end_container("c2");
}

// A dead client of containerd may go unnoticed; then only `kill -9` remains.
TEST_F(Timeouts, OfSigkillEndAnyCallBeforeIt) {
  create("c1");
  runtime.before("start", "exec sleep 60");
  auto starting = start_begin("c1");
  until_called("start c1");
  kill("c1", SIGKILL);
  options.direct_signals = false;
  create("c3");
  auto through_runtime = start_begin("c3");
  until_called("start c3");
  kill("c3", SIGKILL);
  for (auto& call : {starting, through_runtime})
    EXPECT_REFUSED(call, unknown, "OCI runtime start failed: runtime timed out and was killed");
  for (const char* id : {"c1", "c3"}) {
    EXPECT_EQ(wait(id), 137u);
    remove(id);
  }
}

// Also if one verb waits for another.
TEST_F(Timeouts, OfSigkillEndAllCallsBeforeIt) {
  for (const char* id : {"c1", "c2", "c3"}) runtime.set_program(id, "exec sleep 600");
  run("c1");
  options.direct_signals = false;
  run("c2");
  run("c3");
  for (const char* verb : {"pause", "update"}) runtime.before(verb, "exec sleep 600");
  std::vector<CallPtr<Empty>> hanging = {pause_begin("c1"), update_begin("c2", "{}"),
                                         update_begin("c3", "{}")};
  until_called("pause c1");
  for (const char* id : {"c2", "c3"}) until_called(std::string("update ") + id);
  for (const char* id : {"c1", "c2", "c3"}) hanging.push_back(update_begin(id, "{}"));
  std::vector<CallPtr<Empty>> killing = {kill_begin("c1", SIGKILL), kill_begin("c2", SIGKILL),
                                         kill_begin("c3", SIGKILL, "", true)};
  for (auto& call : killing) end(call);
  for (auto& call : hanging) refusal_of(call);
  for (const char* id : {"c1", "c2", "c3"}) {
    EXPECT_EQ(wait(id), 137u);
    remove(id);
  }
}

// Then an exit of SIGKILL is published: the exit is not lost.
TEST_F(Timeouts, OfAnExitEndAtTheDeletion) {
  create("c1");
  runtime.before("delete", "exit 0");
  const api::DeleteResponse removed = remove("c1");
  EXPECT_EQ(removed.exit_status(), 137u);
  EXPECT_EQ(sink.history(), (Lines{"create c1", "exit c1 137", "delete c1 137"}));
  for (pid_t child : own_children()) ::kill(child, SIGKILL);
  until([] { return own_children().empty(); });
  EXPECT_EQ(sink.history().size(), 3u) << "only once";
}

class LimitOfDeletion : public TaskTest {
 protected:
  LimitOfDeletion() : TaskTest(3s) {}  // long enough for a runtime that does not hang
};

TEST_F(LimitOfDeletion, EndsARuntimeThatHangsThoughTheClientWaits) {
  ::kill(run("c1"), SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  runtime.before("delete", "exec sleep 60");
  EXPECT_REFUSED(remove_begin("c1"), unknown,
                 "failed to delete task: runtime timed out and was killed");
  runtime.behave();
  remove("c1");
}

TEST_F(LimitOfDeletion, CountsTheWaitForAVerbThatHangsOnALivingContainer) {
  run("c1");
  runtime.before("update", "exec sleep 60");
  auto updating = update_begin("c1", "{}");
  until_called("update c1");
  EXPECT_REFUSED(remove_begin("c1"), deadline_exceeded,
                 "timed out waiting for another operation on c1");
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_FALSE(updating->done.is_set()) << "it has its own limits";
  kill("c1", SIGKILL);
  EXPECT_EQ(wait("c1"), 137u);
  for (pid_t child : own_children()) ::kill(child, SIGKILL);
  refusal_of(updating);
  remove("c1");
}

TEST_F(LimitOfDeletion, EndsThatOfACreateWhoseClientHasGone) {
  runtime.before("create", runtime.wait_for("create"));
  runtime.before("delete", "exec sleep 60");
  make_bundle("c1");
  auto other = another_client();
  auto creating = create_begin(create_request("c1"), other.get());
  until_called("create c1");
  other->close();
  runtime.open("create");
  until([&] { return service_under_test->being_created() == 0; });
  for (pid_t child : own_children()) ::kill(child, SIGKILL);
}

}  // namespace
}  // namespace thinshim::test
