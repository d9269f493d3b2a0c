// SPDX-License-Identifier: Apache-2.0
// The action `delete`: after each deletion, after a crash, and by hand.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "runc_options.pb.h"
#include "support/cgroups.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Delete : public ShimTest {
 protected:
  static Lines sockets() {
    Lines names;
    for (const auto& entry : fs::directory_iterator("/run/containerd/s"))
      if (entry.path().filename() != ".lock") names.push_back(entry.path().filename());
    return names;
  }
  // Parses the answer of a success. `warnings` is whether stderr has text; nullopt: either.
  api::DeleteResponse answer_of(const Outcome& outcome, std::optional<bool> warnings = false) {
    api::DeleteResponse response;
    EXPECT_EQ(outcome.exit_code, 0) << outcome;
    EXPECT_TRUE(response.ParseFromString(outcome.out)) << outcome;
    if (warnings) {
      EXPECT_EQ(outcome.err.empty(), !*warnings) << outcome;
    }
    EXPECT_EQ(response.exit_status(), 137u);
    timespec now{};  // time(2) may be some milliseconds late
    ::clock_gettime(CLOCK_REALTIME, &now);
    EXPECT_GT(response.exited_at().seconds(), now.tv_sec - 60);
    EXPECT_LE(response.exited_at().seconds(), now.tv_sec);
    return response;
  }
  // Puts a `runc` that records its calls first on PATH.
  SubprocessOptions with_recording_runc(const std::string& id) {
    fs::create_directories(directory_ / "bin");
    std::ofstream(directory_ / "bin/runc")
        << "#!/bin/sh\necho called >> " << (directory_ / "trace").string() << "\nexit 1\n";
    fs::permissions(directory_ / "bin/runc", fs::perms::owner_all);
    SubprocessOptions options = surroundings(id);
    options.environment.push_back("PATH=" + (directory_ / "bin").string() + ":" +
                                  std::getenv("PATH"));
    options.directory = "/";
    return options;
  }
  bool runc_was_called() const { return fs::exists(directory_ / "trace"); }

  static bool is_alive(pid_t pid) { return process(pid).parent >= 0 && process(pid).state != 'Z'; }
  fs::path state_of(const std::string& id) const {
    return fs::path("/run/containerd/runc") / namespace_ / id;
  }
  // The container's cgroup in one hierarchy.
  fs::path make_group(const std::string& id) const {
    const std::string v1 = "/sys/fs/cgroup/pids";
    const fs::path group = fs::path(fs::exists(v1) ? v1 : "/sys/fs/cgroup") / namespace_ / id;
    fs::create_directories(group);
    return group;
  }
  bool has_cgroup(const std::string& id) const {
    for (const fs::path& group : cgroups_named(namespace_))
      if (fs::exists(group / id)) return true;
    return false;
  }
  void expect_gone(const std::string& id, pid_t init) {
    EXPECT_FALSE(is_alive(init));
    EXPECT_FALSE(fs::exists(state_of(id)));
    EXPECT_FALSE(has_cgroup(id));
    EXPECT_EQ(read("/proc/self/mountinfo").find(bundle(id).string() + "/"), std::string::npos);
  }
  // A running container with a mounted root file system, whose shim was killed.
  pid_t crashed(const std::string& id, const ContainerConfig& config = {}) {
    ContainerConfig own = config;
    own.rootfs = bundle(id) / "rootfs";
    auto shim = start_shim(id, own);
    api::CreateTaskRequest request = create_request(id);
    containerd::types::Mount* mount = request.add_rootfs();
    mount->set_type("bind");
    mount->set_source(rootfs());
    mount->add_options("rbind");
    const auto pid = static_cast<pid_t>(shim->end(shim->create_begin(request)).pid());
    shim->start(id);
    exec(*shim, id, "e1", {"/bin/sleep", "1000"});
    shim->start(id, "e1");
    shim->until([&] { return history().size() >= 4; });
    kill_shim();
    return pid;
  }
  void kill_shim() {
    const pid_t pid = only_shim().pid;
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return process(pid).parent < 0; }));
  }
};

TEST_F(Delete, OfNothingStartsNoRuntime) {
  make_bundle("c1");
  auto options = with_recording_runc("c1");
  const Words words = command("c1", {"-bundle", bundle("c1"), "delete"});
  EXPECT_EQ(answer_of(test::run(words, options)).pid(), 0u);
  fs::remove_all(bundle("c1"));
  EXPECT_EQ(answer_of(test::run(words, options)).pid(), 0u) << "not even a bundle";
  EXPECT_EQ(answer_of(test::run(command("c1", {"-bundle", "/no/such/place", "-debug", "delete"}),
                                options))
                .pid(),
            0u);
  EXPECT_FALSE(runc_was_called());
}

// A bundle may contain any data, and -bundle may be any path.
TEST_F(Delete, TouchesNothingThatIsNoSocketAndNoBundle) {
  make_bundle("c1");
  const fs::path file = directory_ / "victim";
  std::ofstream(file) << "x";
  std::ofstream(bundle("c1") / "address") << "unix://" << file.string();
  answer_of(cleanup("c1"), std::nullopt);
  EXPECT_EQ(read(file), "x");
  EXPECT_FALSE(fs::exists(directory_ / ".lock"));
  fs::create_directory(directory_ / "run");
  std::ofstream(directory_ / "run/daemon.pid") << "1";
  test::run(command("c1", {"-bundle", directory_ / "run", "delete"}), surroundings("c1"));
  EXPECT_TRUE(fs::exists(directory_ / "run/daemon.pid"));
}

TEST_F(Delete, AfterAnOrdinaryDeletionStartsNoRuntime) {
  auto shim = start_shim("c1");
  const pid_t pid = run(*shim, "c1");
  shim->end_container("c1");
  auto options = with_recording_runc("c1");
  EXPECT_EQ(answer_of(test::run(command("c1", {"-bundle", bundle("c1"), "delete"}), options)).pid(),
            static_cast<std::uint32_t>(pid));
  EXPECT_FALSE(runc_was_called());
  EXPECT_EQ(shim->end(shim->connect_begin("c1")).task_pid(), 0u) << "the shim was left alone";
  end_shim(*shim);
}

TEST_F(Delete, AfterACrashLeavesNothing) {
  const pid_t pid = crashed("c1");
  EXPECT_TRUE(is_alive(pid)) << "the container outlives its shim";
  EXPECT_TRUE(fs::exists(state_of("c1")));
  EXPECT_TRUE(fs::exists(bundle("c1") / "e1.pid"));
  EXPECT_EQ(answer_of(cleanup("c1")).pid(), static_cast<std::uint32_t>(pid));
  expect_gone("c1", pid);
  EXPECT_FALSE(fs::exists(bundle("c1") / "e1.pid"));
  EXPECT_EQ(sockets(), Lines());

  EXPECT_EQ(answer_of(cleanup("c1")).pid(), static_cast<std::uint32_t>(pid)) << "a second time";
}

TEST_F(Delete, FindsTheSocketIfTheBundleIsGone) {
  auto shim = start_shim("c1");
  kill_shim();
  EXPECT_EQ(sockets().size(), 1u);
  fs::remove(bundle("c1") / "address");
  answer_of(cleanup("c1"));
  EXPECT_EQ(sockets(), Lines());
}

TEST_F(Delete, AfterACrashOfAContainerInASharedPidNamespaceLeavesNothing) {
  ContainerConfig config;
  config.own_pid_namespace = false;
  config.args = {"/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"};
  const pid_t pid = crashed("c1", config);
  answer_of(cleanup("c1"));
  expect_gone("c1", pid);
}

TEST_F(Delete, FindsTheBundleBesideTheWorkingDirectory) {
  const pid_t pid = crashed("c1");
  make_bundle("c2");
  SubprocessOptions options = surroundings("c2");
  EXPECT_EQ(answer_of(test::run(command("c1", {"delete"}), options)).pid(),
            static_cast<std::uint32_t>(pid));
  expect_gone("c1", pid);
}

TEST_F(Delete, FindsAContainerOfARuntimeWithAnotherRoot) {
  auto shim = start_shim("c1");
  containerd::runc::v1::Options runc_options;
  runc_options.set_root(directory_ / "root");
  api::CreateTaskRequest request = create_request("c1");
  request.mutable_options()->set_type_url("containerd.runc.v1.Options");
  request.mutable_options()->set_value(runc_options.SerializeAsString());
  const auto pid = static_cast<pid_t>(shim->end(shim->create_begin(request)).pid());
  kill_shim();
  EXPECT_TRUE(fs::exists(directory_ / "root" / namespace_ / "c1"));
  answer_of(cleanup("c1"));
  EXPECT_FALSE(fs::exists(directory_ / "root" / namespace_ / "c1"));
  expect_gone("c1", pid);
}

TEST_F(Delete, GoesOnIfAFileCannotBeRead) {
  const pid_t pid = crashed("c1");
  std::ofstream(bundle("c1") / "options.json") << "{\"root\":";
  std::ofstream(bundle("c1") / "init.pid") << "nonsense";
  fs::remove(bundle("c1") / "runtime");
  EXPECT_EQ(answer_of(cleanup("c1"), true).pid(), 0u);
  expect_gone("c1", pid);
  EXPECT_EQ(sockets(), Lines());
}

TEST_F(Delete, GoesOnIfTheConfigurationIsInvalid) {
  const pid_t pid = crashed("c1");
  std::ofstream(directory_ / "config.yaml") << "version: 7\n";
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("THINSHIM_CONFIG=" + (directory_ / "config.yaml").string());
  answer_of(test::run(command("c1", {"-bundle", bundle("c1"), "delete"}), options), true);
  expect_gone("c1", pid);
}

// containerd then keeps the bundle, and calls `delete` again when it restarts.
TEST_F(Delete, FailsIfTheContainerStillRuns) {
  const pid_t pid = crashed("c1");
  SubprocessOptions options = surroundings("c1");
  options.environment.push_back("PATH=/nowhere");
  const Outcome outcome = test::run(command("c1", {"-bundle", bundle("c1"), "delete"}), options);
  EXPECT_TRUE(is_alive(pid));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("executable file not found in $PATH"), std::string::npos);
  EXPECT_NE(outcome.err.find("failed to clean up container c1"), std::string::npos);
  EXPECT_EQ(sockets(), Lines()) << "the rest is done";
  EXPECT_EQ(answer_of(cleanup("c1")).pid(), static_cast<std::uint32_t>(pid));
  expect_gone("c1", pid);
}

TEST_F(Delete, LeavesTheSocketToAShimThatLives) {
  auto shim = start_shim("c1");
  const pid_t pid = run(*shim, "c1");
  // containerd does this after a lost connection; the container is removed, the shim stays.
  answer_of(cleanup("c1"));
  EXPECT_EQ(shim->wait("c1"), 137u) << "the shim sees it end";
  EXPECT_FALSE(is_alive(pid));
  shim->remove("c1");
  end_shim(*shim);
}

// Seen with crun 1.8: crun was killed with the shim, and its child waited for it without end. With
// runc, in a hook createContainer.
TEST_F(Delete, KillsOnlyTheProcessesOfADeadRuntime) {
  make_bundle("c1");
  const fs::path group = make_group("c1");
  auto join = [&](const fs::path& directory, const std::string& then = "sleep 1000") {
    SubprocessOptions options;
    options.directory = directory;
    Subprocess process({"sh", "-c",
                        "echo $$ > " + group.string() +
                            "/cgroup.procs; echo joined; "
                            "exec " +
                            then},
                       options);
    EXPECT_TRUE(process.wait_for_output("joined"));
    return process;
  };
  Subprocess begun = join(bundle("c1"));
  Subprocess about_to_enter = join(rootfs());
  {
    Subprocess other = join("/");
    Subprocess other_container = join(
        "/", "chroot " + rootfs().string() + " /bin/sh -c 'echo inside; exec /bin/sleep 1000'");
    EXPECT_TRUE(other_container.wait_for_output("inside"));
    const Outcome outcome = cleanup("c1");
    EXPECT_NE(outcome.err.find("processes remain in cgroup"), std::string::npos) << outcome;
    EXPECT_TRUE(begun.has_ended());
    EXPECT_TRUE(about_to_enter.has_ended());
    EXPECT_FALSE(other.has_ended());
    EXPECT_FALSE(other_container.has_ended());
  }
  EXPECT_EQ(cleanup("c1").err, "");
  EXPECT_FALSE(fs::exists(group));
  fs::remove(group.parent_path());
}

// The command line of `delete` names the bundle.
TEST_F(Delete, DoesNotKillItselfWithTheContainersProcesses) {
  make_bundle("c1");
  const fs::path group = make_group("c1");
  SubprocessOptions options = surroundings("c1");
  options.directory = "/";
  const Words joining = {"sh", "-c", "echo $$ > \"$0\" && exec \"$@\"", group / "cgroup.procs"};
  const Outcome outcome =
      test::run(joining + command("c1", {"-bundle", bundle("c1"), "delete"}), std::move(options));
  answer_of(outcome, true);
  EXPECT_NE(outcome.err.find("processes remain in cgroup"), std::string::npos) << outcome;
  fs::remove(group);
  fs::remove(group.parent_path());
}

// --- runtimes with another layout of their states

// runc under another name, with states laid out as gVisor's runsc does: ROOT/ID_sandbox:ID.state.
class DeleteOfAnotherRuntime : public Delete {
 protected:
  DeleteOfAnotherRuntime() {
    fs::create_directories(directory_ / "bin");
    std::ofstream(runtime()) << "#!/bin/sh\nplace=" << directory_.string() << R"script(
root=$2
shift 2
for id; do :; done
echo "$*" >> "$place/calls"
state="$root/${id}_sandbox:$id.state"
case " $* " in *' delete '*)
  [ ! -e "$place/lie" ] || exit 0
  if [ -e "$place/refuse" ]; then
    echo "container $id $(cat "$place/refuse")" >&2
    exit 1
  fi ;;
*' state '*)
  if [ -e "$place/crun" ]; then
    echo "error opening file \`$root/$id/status\`: No such file or directory" >&2
    exit 1
  fi
  if [ -e "$place/asked" ]; then
    runc --root "$root.hidden" delete --force "$id" && rm -f "$state"
  elif [ -e "$place/removing" ]; then
    mv "$place/removing" "$place/asked"
  fi ;;
esac
runc --root "$root.hidden" "$@" || exit
case " $* " in
  *' create '*) mkdir -p "$root"; : > "$state" ;;
  *' delete '*) rm -f "$state" ;;
esac
)script";
    fs::permissions(runtime(), fs::perms::owner_all);
  }
  fs::path runtime() const { return directory_ / "bin/runsc"; }
  bool has_state(const std::string& id) const {
    return fs::exists(directory_ / "root" / namespace_ / (id + "_sandbox:" + id + ".state"));
  }
  pid_t run_by_it(TaskCalls& shim, const std::string& id) {
    containerd::runc::v1::Options options;
    options.set_binary_name(runtime());
    options.set_root(directory_ / "root");
    api::CreateTaskRequest request = create_request(id);
    set_options(request, options);
    shim.end(shim.create_begin(request));
    return shim.start(id);
  }
  void refuse_to_delete(const std::string& words) const {
    std::ofstream(directory_ / "refuse") << words;
  }
};

TEST_F(DeleteOfAnotherRuntime, RunsItsStateAfterACrash) {
  auto shim = start_shim("c1");
  const pid_t pid = run_by_it(*shim, "c1");
  kill_shim();
  EXPECT_TRUE(has_state("c1"));
  EXPECT_EQ(answer_of(cleanup("c1")).pid(), static_cast<std::uint32_t>(pid));
  EXPECT_FALSE(has_state("c1"));
  expect_gone("c1", pid);
  auto next = start_shim("c1");
  run_by_it(*next, "c1") /* the id can be used again */;
  next->end_container("c1");
  end_shim(*next);
}

TEST_F(DeleteOfAnotherRuntime, FailsIfThatStillHasTheContainerWhateverItReports) {
  const struct {
    const char* file;  // makes the runtime's `delete` fail with this text, or do nothing
    const char* text;
    const char* error;
  } cases[] = {{"refuse", "is on fire, and the extinguisher does not exist", "is on fire"},
               {"lie", "", "container c1 still exists in the runtime"}};
  for (const auto& [file, text, error] : cases) {
    auto shim = start_shim("c1");
    const pid_t pid = run_by_it(*shim, "c1");
    kill_shim();
    std::ofstream(directory_ / file) << text;
    const Outcome outcome = cleanup("c1");
    EXPECT_EQ(outcome.exit_code, 1) << outcome;
    EXPECT_NE(outcome.err.find(error), std::string::npos) << outcome;
    EXPECT_TRUE(is_alive(pid));
    fs::remove(directory_ / file);
    answer_of(cleanup("c1"));
    expect_gone("c1", pid);
  }
}

// By another `delete`; in this test it is removed when `delete` asks for the container again.
TEST_F(DeleteOfAnotherRuntime, SucceedsIfTheContainerIsBeingRemoved) {
  auto shim = start_shim("c1");
  const pid_t pid = run_by_it(*shim, "c1");
  kill_shim();
  refuse_to_delete("is being removed");
  std::ofstream(directory_ / "removing") << "";
  answer_of(cleanup("c1"));
  EXPECT_FALSE(has_state("c1"));
  expect_gone("c1", pid);
}

TEST_F(DeleteOfAnotherRuntime, SucceedsIfThatKnowsNoSuchContainerInRuncsAndInCrunsWords) {
  for (const bool is_crun : {false, true}) {
    auto shim = start_shim("c1");
    run_by_it(*shim, "c1");
    shim->end_container("c1");
    end_shim(*shim);
    refuse_to_delete("does not exist");
    if (is_crun) std::ofstream(directory_ / "crun") << "";
    fs::remove(directory_ / "calls");
    EXPECT_EQ(cleanup("c1").exit_code, 0) << is_crun;
    EXPECT_NE(read(directory_ / "calls").find("delete --force c1"), std::string::npos) << is_crun;
    fs::remove(directory_ / "refuse");
  }
}

// --- exits

// Since containerd#14020 containerd publishes the exit again, with the answer of `delete`.
TEST_F(Delete, AnswersWithThePublishedExit) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c", "exit 7"};
  auto shim = start_shim("c1", config);
  const pid_t pid = run(*shim, "c1");
  EXPECT_EQ(shim->wait("c1"), 7u);
  const api::StateResponse published = shim->state("c1");
  EXPECT_NE(
      read(bundle("c1") / "exit.json").find(R"(,"Pid":)" + std::to_string(pid) + R"(,"Status":7})"),
      std::string::npos);
  kill_shim();
  for (const char* when : {"after the crash", "once more"}) {
    const Outcome outcome = cleanup("c1");
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(outcome.err, "");
    api::DeleteResponse response;
    EXPECT_TRUE(response.ParseFromString(outcome.out)) << when;
    EXPECT_EQ(response.pid(), static_cast<std::uint32_t>(pid)) << when;
    EXPECT_EQ(response.exit_status(), 7u) << when;
    EXPECT_EQ(response.exited_at().seconds(), published.exited_at().seconds()) << when;
    EXPECT_EQ(response.exited_at().nanos(), published.exited_at().nanos()) << when;
  }
}

// As containerd's own shim writes it (2.4.2, and main), and as one would that was killed during the
// write.
TEST_F(Delete, AnswersWithTheExitThatAStockShimHasPublished) {
  make_bundle("c1");
  std::ofstream(bundle("c1") / "init.pid") << "4711";
  for (const char* name : {"exit.json", "exitstatus.json"}) {
    std::ofstream(bundle("c1") / name)
        << R"({"Timestamp":"2026-11-30T17:46:09.5+01:00","Pid":4711,"Status":3})";
    const Outcome outcome = cleanup("c1");
    api::DeleteResponse response;
    EXPECT_TRUE(outcome.ok() && response.ParseFromString(outcome.out)) << outcome;
    EXPECT_EQ(response.exit_status(), 3u) << name;
    EXPECT_EQ(response.exited_at().seconds(), 1796057169);
    fs::remove(bundle("c1") / name);
  }
  std::ofstream(bundle("c1") / "exit.json") << R"({"Timestamp":"2026-)";
  EXPECT_EQ(answer_of(cleanup("c1"), true).pid(), 4711u);
}

TEST_F(Delete, OfAContainerThatRanAnswersWithTheKill) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  std::ofstream(bundle("c1") / "exit.json")
      << R"({"Timestamp":"2026-11-30T17:46:09Z","Pid":1,"Status":3})";  // of an earlier container
  kill_shim();
  answer_of(cleanup("c1"));
}

TEST_F(Delete, OfAnExitThatCannotBeRecordedIsNotDelayed) {
  ContainerConfig config;
  config.args = {"/bin/sh", "-c", "exit 7"};
  auto shim = start_shim("c1", config);
  fs::create_directory(bundle("c1") / "exit.json");
  run(*shim, "c1");
  EXPECT_EQ(shim->wait("c1"), 7u);
  EXPECT_NE(log_of("c1").find("failed to write exit.json"), std::string::npos);
  shim->remove("c1");
  EXPECT_EQ(history().back(), "delete c1 7");
  end_shim(*shim);
}

// --- groups

class DeleteOfGroup : public Delete {
 protected:
  DeleteOfGroup() { pod_.annotations["io.kubernetes.cri.sandbox-id"] = "sandbox"; }
  // As containerd 2.3 and later call it.
  void record_version_3(const std::string& id) const {
    std::ofstream(bundle(id) / "bootstrap.json") << R"({"version":3})";
  }
  // Creates two containers of a group and kills their shim. Returns their pids.
  std::pair<pid_t, pid_t> crashed_group(const std::string& bootstrap_json) {
    auto shim = start_shim("sandbox", pod_);
    make_bundle("other", pod_);
    EXPECT_TRUE(start("other").ok());
    make_bundle("stranger");
    EXPECT_TRUE(start("stranger").ok());
    auto strangers = connect(read(bundle("stranger") / "address"));
    stranger_ = run(*strangers, "stranger");
    const pid_t first = run(*shim, "sandbox");
    const pid_t second = run(*shim, "other");
    std::ofstream(bundle("sandbox") / "bootstrap.json") << bootstrap_json;
    std::ofstream(bundle("other") / "bootstrap.json") << bootstrap_json;
    const auto pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return process(pid).parent < 0; }));
    return {first, second};
  }
  void end_stranger() {
    EXPECT_TRUE(is_alive(stranger_));
    auto shim = connect(read(bundle("stranger") / "address"));
    shim->end_container("stranger");
    end_shim(*shim);
  }
  ContainerConfig pod_;
  pid_t stranger_ = 0;
};

// containerd since 2.0 calls `delete` for the sandbox only.
TEST_F(DeleteOfGroup, KillsTheOthersIfContainerdLeavesThatToIt) {
  auto [sandbox, other] =
      crashed_group(R"({"version":3,"address":"unix:///run/containerd/s/x","protocol":"ttrpc"})");
  EXPECT_EQ(answer_of(cleanup("sandbox")).pid(), static_cast<std::uint32_t>(sandbox));
  expect_gone("sandbox", sandbox);
  expect_gone("other", other);
  end_stranger();
}

TEST_F(DeleteOfGroup, LeavesTheOthersToTheirOwnDeletion) {
  auto [sandbox, other] =
      crashed_group(R"({"version":2,"address":"unix:///run/containerd/s/x","protocol":"ttrpc"})");
  answer_of(cleanup("sandbox"));
  expect_gone("sandbox", sandbox);
  EXPECT_TRUE(is_alive(other));
  answer_of(cleanup("other"));
  expect_gone("other", other);
  end_stranger();
}

// The socket was removed from /run. The shim continues on its open connections.
TEST_F(DeleteOfGroup, LeavesTheOthersIfOnlyTheSocketsFileIsGone) {
  auto shim = start_shim("sandbox", pod_);
  for (const char* id : {"other", "deleted"}) {
    make_bundle(id, pod_);
    ASSERT_TRUE(start(id).ok());
  }
  run(*shim, "sandbox");
  const pid_t other = run(*shim, "other");
  run(*shim, "deleted");
  for (const char* id : {"sandbox", "other", "deleted"}) record_version_3(id);
  shim->end_container("deleted");
  EXPECT_EQ(sockets().size(), 1u);
  fs::remove("/run/containerd/s/" + sockets()[0]);
  answer_of(cleanup("deleted"));
  EXPECT_TRUE(is_alive(other));
  shim->end_container("sandbox");
  answer_of(cleanup("sandbox"));
  EXPECT_TRUE(is_alive(other));
  shim->end_container("other");
  end_shim(*shim);
}

// Another shim serves the pod by then, under the same socket name.
TEST_F(DeleteOfGroup, LeavesTheOthersOfAShimThatLivesBehindAnothersSocket) {
  auto first = start_shim("sandbox", pod_);
  const pid_t other = run(*first, "sandbox");
  fs::remove("/run/containerd/s/" + sockets()[0]);
  auto second = start_shim("deleted", pod_);
  const auto pid = static_cast<pid_t>(second->end(second->connect_begin("")).shim_pid());
  run(*second, "deleted");
  second->end_container("deleted");
  record_version_3("deleted");
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return process(pid).parent < 0; }));
  answer_of(cleanup("deleted"));
  EXPECT_TRUE(is_alive(other));
  first->end_container("sandbox");
  end_shim(*first);
}

TEST_F(DeleteOfGroup, LeavesTheOthersOfAShimThatLives) {
  auto shim = start_shim("sandbox", pod_);
  make_bundle("other", pod_);
  ASSERT_TRUE(start("other").ok());
  run(*shim, "sandbox");
  const pid_t other = run(*shim, "other");
  record_version_3("sandbox");
  shim->end_container("sandbox");
  answer_of(cleanup("sandbox"));
  EXPECT_TRUE(is_alive(other));
  shim->end_container("other");
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
