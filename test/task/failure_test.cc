// SPDX-License-Identifier: Apache-2.0
// Runtimes that fail in every way: the caller gets the reason, and nothing is left.
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "support/processes.h"
#include "task/task_fixture.h"

namespace thinshim::test {
namespace {

// A shell script that the runtime runs, and the error that the client must get.
struct Fault {
  const char* name;
  std::string before;
  std::string after;
  std::string reason;
};
void PrintTo(const Fault& fault, std::ostream* stream) { *stream << fault.name; }

std::string name_of(const testing::TestParamInfo<Fault>& info) { return info.param.name; }

const std::string kFlood = "head -c 1000000 /dev/zero | tr '\\0' x >&2; ";

const Fault kFaults[] = {
    {"FailsWithAReason", FakeRuntime::fail("the disk is on fire"), "", ": the disk is on fire"},
    {"FailsWithoutAReason", "exit 3", "", ": exit status 3"},
    // Its stderr is the container's, so it must not be in the error.
    {"FailsWithNonsense", "echo what >&2; echo '{]}' >> $log; exit 3", "", ": exit status 3"},
    {"FailsAsRuncDoes", "exit 255", "", ": exit status 255"},
    {"FailsWithAFlood", kFlood + "exit 3", "", ": exit status 3"},
    {"FailsWithAReasonInAFlood",
     kFlood +
         "for i in $(seq 5000); do echo '{\"level\":\"info\",\"msg\":\"on and on\"}'; "
         "done >> $log; " +
         FakeRuntime::fail("the disk is on fire"),
     "", ": the disk is on fire"},
    {"FailsOnceItIsDone", "", FakeRuntime::fail("an afterthought"), ": an afterthought"},
    {"DiesAtOnce", "kill -9 $$", "", ": exit status 137 (128 + signal 9)"},
    {"DiesHalfWay", "pid_file=/dev/null", "kill -9 $$", ": exit status 137 (128 + signal 9)"},
    {"WritesNoPid", "pid_file=/dev/null", "", "exited with 0 but did not write"},
    {"WritesThePidTooLate", "pid_text=; rm -f $pid_file", "(sleep 0.05; echo $pid > $pid_file) &",
     "not a process id"},
    {"WritesAnEmptyPid", "pid_text=", "", "not a process id"},
    {"WritesZero", "pid_text=0", "", "not a process id"},
    {"WritesANegativePid", "pid_text=-1", "", "not a process id"},
    {"WritesGarbage", "pid_text=$(head -c 1000 /dev/zero | tr '\\0' 7)", "", "init.pid|e1.pid"},
    {"WritesSomeoneElsesPid", "pid_text=1", "",
     "process 1 is not a child of the shim, or is already known"},
    {"WritesItsOwnPid", "pid_text=$$", "", "is not a child of the shim, or is already known"},
    {"WritesTheShimsPid", "pid_text=$(awk '{print $4}' /proc/$$/stat)", "",
     "is not a child of the shim, or is already known"},
};

class Failure : public TaskTest {
 protected:
  void break_runtime(const std::string& verb, const Fault& fault) {
    if (!fault.before.empty()) runtime.before(verb, fault.before);
    if (!fault.after.empty()) runtime.after(verb, fault.after);
  }
  // `wanted` lists alternatives, separated by bars.
  static bool has_text(const Error& error, std::string wanted) {
    for (std::size_t bar; (bar = wanted.find('|')) != std::string::npos; wanted.erase(0, bar + 1))
      if (contains(error, wanted.substr(0, bar))) return true;
    return contains(error, wanted);
  }
  void expect_nothing_of(const std::string& id) {
    EXPECT_REFUSED(state_begin(id), not_found, "container not created: not found");
    EXPECT_FALSE(runtime.knows("test", id));
    EXPECT_EQ(mounts(), Lines());
    until([] { return own_children().empty(); });
  }
};

// Its children are killed too: one could still write a pid file, over that of the next attempt.
bool runtime_has_ended() {
  for (const Process& child : children_of(getpid()))
    if (child.name == "runc") return false;
  return true;
}

class CreateFailure : public Failure, public testing::WithParamInterface<Fault> {};
INSTANTIATE_TEST_SUITE_P(Faults, CreateFailure, testing::ValuesIn(kFaults), name_of);

TEST_P(CreateFailure, LeavesNothing) {
  break_runtime("create", GetParam());
  make_bundle("c1");
  api::CreateTaskRequest request = request_with_mount("c1");
  Error error = refusal_of(create_begin(request));
  EXPECT_EQ(error.code(), Code::unknown);
  EXPECT_TRUE(has_text(error, GetParam().reason)) << error.what();
  EXPECT_LT(std::string(error.what()).size(), 128u << 10);
  expect_nothing_of("c1");
  EXPECT_EQ(sink.history(), Lines());

  runtime.behave();
  EXPECT_NE(end(create_begin(request)).pid(), 0u) << "the next attempt finds nothing in its way";
  EXPECT_EQ(mounts().size(), 1u);
  start("c1");
  end_container("c1");
}

class ExecFailure : public Failure, public testing::WithParamInterface<Fault> {};
INSTANTIATE_TEST_SUITE_P(Faults, ExecFailure, testing::ValuesIn(kFaults), name_of);

TEST_P(ExecFailure, AnswersItsWaitsAndPublishesNoExit) {
  run("c1");
  break_runtime("exec", GetParam());
  exec("c1", "e1", "exec sleep 60");
  auto waiting = wait_begin("c1", "e1");
  Error error = refusal_of(start_begin("c1", "e1"));
  EXPECT_EQ(error.code(), Code::unknown);
  EXPECT_TRUE(has_text(error, GetParam().reason)) << error.what();
  EXPECT_EQ(end(waiting).exit_status(), 0u);
  EXPECT_LT(end(waiting).exited_at().seconds(), 0) << "it has not exited";
  EXPECT_EQ(state("c1", "e1").status(), types::CREATED);
  EXPECT_REFUSED(kill_begin("c1", SIGKILL, "e1"), failed_precondition,
                 "process not created: failed precondition");
  remove("c1", "e1");
  EXPECT_EQ(sink.history(), (Lines{"create c1", "start c1", "exec-added c1 e1"}));

  until(runtime_has_ended);
  runtime.behave();
  run_exec("c1", "e1", "exit 5");
  EXPECT_EQ(wait("c1", "e1"), 5u);
  kill("c1", SIGKILL, "", true);
  EXPECT_EQ(wait("c1"), 137u);
  remove("c1");
}

TEST_F(Failure, OfAnExecCanBeFollowedByASecondAttempt) {
  run("c1");
  runtime.before("exec", FakeRuntime::fail("not yet"));
  exec("c1", "e1", "exec sleep 60");
  EXPECT_REFUSED(start_begin("c1", "e1"), unknown, "OCI runtime exec failed: not yet");
  EXPECT_REFUSED(start_begin("c1", "e1"), unknown, "OCI runtime exec failed: not yet");
  runtime.behave();
  start("c1", "e1");
  auto waiting = wait_begin("c1", "e1");
  pass(20ms);
  EXPECT_FALSE(waiting->done.is_set()) << "it runs";
  kill("c1", SIGKILL, "e1");
  EXPECT_EQ(end(waiting).exit_status(), 137u);
  EXPECT_EQ(sink.count(kTopicExit), 1u);
  end_container("c1");
}

TEST_F(Failure, OfAnExecEndsNoOtherProcess) {
  run("c1");
  const pid_t pid = static_cast<pid_t>(state("c1").pid());
  runtime.before("exec", "pid_text=" + std::to_string(pid));
  exec("c1", "e1", "exec sleep 60");
  Error error = refusal_of(start_begin("c1", "e1"));
  EXPECT_TRUE(contains(error, "is not a child of the shim, or is already known")) << error.what();
  EXPECT_EQ(state("c1").status(), types::RUNNING);
  EXPECT_EQ(::kill(pid, 0), 0);
  runtime.behave();
  kill("c1", SIGKILL, "", true);
  wait("c1");
  remove("c1");
}

TEST_F(Failure, OfCreateLeavesAnothersContainerAlone) {
  make_bundle("c1");
  const std::string state = runtime.root() + "/test/c1";
  std::filesystem::create_directories(state);
  EXPECT_REFUSED(create_begin(create_request("c1")), unknown,
                 "OCI runtime create failed: container with given ID already exists");
  EXPECT_TRUE(std::filesystem::exists(state));
  EXPECT_EQ(runtime.calls(), Lines{"create c1"});
}

// For a runtime whose layout is unknown, or a container that was created between check and create.
TEST_F(Failure, OfCreateLeavesARunningContainerOfAnotherBundleAlone) {
  const std::string race =
      "[ -e $base/came ] || { touch $base/came; \"$0\" --root \"$root\" create --bundle /other/c1 "
      "--pid-file /dev/null c1; \"$0\" --root \"$root\" start c1; }";
  for (const std::string& binary : {runtime.binary(), runtime.as_gvisor()}) {
    options.runc.set_binary_name(binary);
    runtime.before("create", race);
    runtime.before("state", "echo '{\"level\":\"warning\"}' >&2") /* which is no answer */;
    make_bundle("c1");
    EXPECT_REFUSED(create_begin(create_request("c1")), unknown,
                   "OCI runtime create failed: container with given ID already exists");
    EXPECT_TRUE(runtime.knows("test", "c1")) << binary;
    const Lines made = runtime.calls();
    EXPECT_EQ(std::count(made.begin(), made.end(), "delete --force c1"), 0) << binary;
    runtime.behave();
    std::filesystem::remove_all(runtime.root() + "/test");
    std::filesystem::remove(std::filesystem::path(runtime.binary()).parent_path() / "came");
  }
}

TEST_F(Failure, OfCreateUndoesWhatItHasMadeWhateverTheRuntimesLayout) {
  options.runc.set_binary_name(runtime.as_gvisor());
  for (const char* how : {"kill -9 $$", "fail afterwards", "rm $pid_file"}) {
    runtime.after("create", how);
    make_bundle("c1");
    refusal_of(create_begin(create_request("c1")));
    EXPECT_FALSE(runtime.knows("test", "c1")) << how;
    until([] { return own_children().empty(); });
    runtime.behave();
  }
}

// The words may refer to something else: the disk, a library, a hook's program.
TEST_F(Failure, OfDeleteIsNotIgnoredForItsWordsAlone) {
  options.direct_signals = false;
  const std::string words = "the quota of c1 does not exist";
  for (const std::string& binary : {runtime.binary(), runtime.as_gvisor()}) {
    options.runc.set_binary_name(binary);
    run("c1");
    runtime.before("kill", FakeRuntime::fail(words));
    EXPECT_REFUSED(kill_begin("c1", SIGTERM), unknown, "unknown error after kill: " + words);
    runtime.behave();
    kill("c1", SIGKILL);
    wait("c1");
    runtime.before("delete", FakeRuntime::fail(words));
    EXPECT_REFUSED(remove_begin("c1"), unknown, "failed to delete task: " + words);
    EXPECT_EQ(state("c1").status(), types::STOPPED);
    runtime.before("delete", "rm -r $state; " + FakeRuntime::fail(words));
    EXPECT_EQ(remove("c1").exit_status(), 137u) << binary;
    runtime.behave();
  }
}

TEST_F(Failure, OfAProgramThatIsNoRuntimeNamesIt) {
  make_bundle("c1");
  options.runc.set_binary_name("/bin/true");
  EXPECT_REFUSED(
      create_begin(create_request("c1")), unknown,
      "failed to retrieve OCI runtime container pid: runtime \"/bin/true\" exited with 0 but did "
      "not write " +
          (directory / "c1/init.pid"));
  options.runc.set_binary_name("/bin/false");
  EXPECT_REFUSED(create_begin(create_request("c1")), unknown,
                 "OCI runtime create failed: unable to retrieve OCI runtime error (open " +
                     (directory / "c1/log.json") +
                     ": no such file or directory): "
                     "/bin/false did not terminate successfully: exit status 1");
  // Here its output belongs to the error.
  options.runc.set_binary_name(runtime.binary());
  run("c1");
  runtime.before("pause", "echo 'Usage of containerd-shim: ...'; exit 2");
  EXPECT_REFUSED(pause_begin("c1"), unknown,
                 "OCI runtime pause failed: " + runtime.binary() +
                     " did not terminate successfully: exit status 2: "
                     "Usage of containerd-shim: ...");
  end_container("c1");
}

TEST_F(Failure, OfStartLeavesACreatedContainer) {
  for (const char* how : {"fail 'not now'", "kill -9 $$", "echo what >&2; exit 3"}) {
    runtime.before("start", how);
    const pid_t pid = create("c1");
    Error error = refusal_of(start_begin("c1"));
    EXPECT_EQ(std::string(error.what()).rfind("OCI runtime start failed: ", 0), 0u) << error.what();
    EXPECT_EQ(state("c1").status(), types::CREATED);
    EXPECT_EQ(::kill(pid, 0), 0);
    runtime.behave();
    start("c1");
    end_container("c1");
  }
}

// A runtime that fills the pipe of its stderr does not block; its stderr is truncated in the error.
TEST_F(Failure, OfARuntimeThatFloodsItsStderrIsReportedInPart) {
  options.direct_signals = false;
  run("c1");
  runtime.before("kill", kFlood + "exit 3");
  Error error = refusal_of(kill_begin("c1", SIGKILL));
  const std::string named =
      runtime.binary() + " did not terminate successfully: exit status 3: xxx";
  EXPECT_EQ(std::string(error.what()).rfind("unknown error after kill: " + named, 0), 0u);
  EXPECT_LE(std::string(error.what()).size(), 66u << 10);
  runtime.before("kill", kFlood);
  kill("c1", SIGKILL) /* nor is one that succeeds */;
  wait("c1");
  runtime.before("delete", kFlood + "exit 3");
  error = refusal_of(remove_begin("c1"));
  EXPECT_EQ(std::string(error.what()).rfind("failed to delete task: " + named, 0), 0u);
  EXPECT_LE(std::string(error.what()).size(), 66u << 10);
  runtime.behave();
  remove("c1");
}

TEST_F(Failure, OfDeleteCanBeFollowedByASecondAttempt) {
  run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  runtime.before("delete", FakeRuntime::fail("device or resource busy"));
  EXPECT_REFUSED(remove_begin("c1"), unknown, "failed to delete task: device or resource busy");
  EXPECT_EQ(state("c1").status(), types::STOPPED);
  EXPECT_EQ(sink.count(kTopicDelete), 0u);
  runtime.behave();
  EXPECT_EQ(remove("c1").exit_status(), 137u);
  EXPECT_EQ(sink.count(kTopicDelete), 1u);
}

TEST_F(Failure, OfDeleteBecauseTheContainerIsGoneIsIgnored) {
  run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  runtime.before("delete", "rm -r $state");
  EXPECT_EQ(remove("c1").exit_status(), 137u);
}

TEST_F(Failure, OfDeleteBecauseTheContainerIsGoneIsIgnoredInCrunsWordsToo) {
  run("c1");
  kill("c1", SIGKILL);
  wait("c1");
  const std::string words = "cannot open directory c1: No such file or directory";
  runtime.before("delete", FakeRuntime::fail(words));
  EXPECT_REFUSED(remove_begin("c1"), unknown, "failed to delete task: " + words);
  runtime.before("delete", "rm -r $state; " + FakeRuntime::fail(words));
  EXPECT_EQ(remove("c1").exit_status(), 137u);
}

TEST_F(Failure, ToFindTheRuntimeIsReported) {
  make_bundle("c1");
  const std::string without_log =
      "OCI runtime create failed: unable to retrieve OCI runtime error (open " +
      (directory / "c1/log.json") + ": no such file or directory): ";
  options.runc.set_binary_name("no-such-runtime-anywhere");
  EXPECT_REFUSED(
      create_begin(create_request("c1")), unknown,
      without_log + "exec: \"no-such-runtime-anywhere\": executable file not found in $PATH");
  options.runc.set_binary_name("/no/such/runtime");
  EXPECT_REFUSED(create_begin(create_request("c1")), unknown,
                 without_log + "fork/exec /no/such/runtime: no such file or directory");
  options.runc.set_binary_name(directory.path());
  Error error = refusal_of(create_begin(create_request("c1")));
  EXPECT_TRUE(contains(error, "permission denied")) << error.what();
  expect_nothing_of("c1");
}

TEST_F(Failure, ToFindTheRuntimeLaterIsReported) {
  options.direct_signals = false;
  run("c1");
  exec("c1", "e1", "true");
  std::filesystem::rename(runtime.binary(), runtime.binary() + ".away");
  Error error = refusal_of(start_begin("c1", "e1"));
  EXPECT_TRUE(contains(error, "OCI runtime exec failed: fork/exec ")) << error.what();
  error = refusal_of(kill_begin("c1", SIGKILL));
  EXPECT_TRUE(contains(error, "unknown error after kill: ")) << error.what();
  std::filesystem::rename(runtime.binary() + ".away", runtime.binary());
  end_container("c1");
}

TEST_F(Failure, OfAMountLeavesNothingAndStartsNoRuntime) {
  make_bundle("c1");
  api::CreateTaskRequest request = create_request("c1");
  containerd::types::Mount* good = request.add_rootfs();
  good->set_type("tmpfs");
  good->set_source("tmpfs");
  containerd::types::Mount* bad = request.add_rootfs();
  bad->set_type("bind");
  bad->set_source("/no/such/place");
  bad->add_options("rbind");
  Error error = refusal_of(create_begin(request));
  EXPECT_EQ(std::string(error.what()).rfind("failed to mount rootfs component: ", 0), 0u)
      << error.what();
  expect_nothing_of("c1");
  EXPECT_EQ(runtime.calls(), Lines());
}

TEST_F(Failure, OfAStreamLeavesNothing) {
  make_bundle("c1");
  api::CreateTaskRequest request = request_with_mount("c1");
  request.set_stdout("/no/such/fifo");
  Error error = refusal_of(create_begin(request));
  const std::string opening =
      "failed to start io pipe copy: unable to copy pipes: containerd-shim: opening ";
  EXPECT_EQ(std::string(error.what()).rfind(opening, 0), 0u) << error.what();
  request.set_stdout("carrier-pigeon://loft");
  error = refusal_of(create_begin(request));
  EXPECT_EQ(error.what(),
            std::string("failed to create init process I/O: unknown STDIO scheme carrier-pigeon"));
  request.set_terminal(true);
  error = refusal_of(create_begin(request));
  EXPECT_EQ(error.what(),
            std::string("failed to start console copy: unknown STDIO scheme carrier-pigeon"));
  expect_nothing_of("c1");
}

// The runtime may have a container with this id of another client.
TEST_F(Failure, OfAStreamStartsNoRuntimeWhateverStandsInTheBundle) {
  options.runc.set_binary_name(runtime.as_gvisor());
  make_bundle("c1");
  std::ofstream(directory / "c1/init.pid") << "1";
  api::CreateTaskRequest request = create_request("c1");
  request.set_stdout("/no/such/fifo");
  refusal_of(create_begin(request));
  request.set_stdout("");
  std::filesystem::remove(directory / "c1/init.pid");
  std::filesystem::create_directories(directory / "c1/init.pid/in-the-way");
  refusal_of(create_begin(request));
  EXPECT_EQ(runtime.calls(), Lines());
}

}  // namespace
}  // namespace thinshim::test
