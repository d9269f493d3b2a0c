// SPDX-License-Identifier: Apache-2.0
// Runtimes behind a program that runs them as its child.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "runc_options.pb.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// The shell script that runs the real one, $runtime, with its own arguments.
struct Wrapper {
  const char* name;
  const char* script;
};

void PrintTo(const Wrapper& wrapper, std::ostream* out) { *out << wrapper.name; }

constexpr Wrapper kWrappers[] = {
    // As sudo and Python's subprocess do.
    {"PassesOnlyStdioOn",
     R"($runtime "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exit $?)"},
    // Such a process has no access to the shim's /proc/PID/fd (ptrace(2)), nor has one in a user
    // namespace of its own. By its path, because a busybox shell prefers its own setpriv, which
    // cannot do this.
    {"TakesACapabilityAway",
     R"(/usr/bin/setpriv --bounding-set -sys_ptrace $runtime "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
exit $?)"},
};

class Wrapped : public ShimTest {
 protected:
  fs::path wrapper() const { return directory_ / "wrapper"; }
  void wrap(const std::string& script) const {
    std::ofstream(wrapper()) << "#!/bin/sh\nruntime=runc\n" << script << "\n";
    fs::permissions(wrapper(), fs::perms::owner_all);
  }
  api::CreateTaskRequest wrapped_request(const std::string& id) const {
    containerd::runc::v1::Options options;
    options.set_binary_name(wrapper());
    options.set_root(directory_ / "root");
    api::CreateTaskRequest request = create_request(id);
    set_options(request, options);
    return request;
  }
  pid_t run_wrapped(TaskCalls& shim, const std::string& id) {
    shim.end(shim.create_begin(wrapped_request(id)));
    return shim.start(id);
  }
  void kill_shim() const {
    const pid_t server = only_shim().pid;
    ::kill(server, SIGKILL);
    EXPECT_TRUE(eventually([&] { return process(server).parent < 0; }));
  }
  static bool is_alive(pid_t pid) { return process(pid).parent >= 0 && process(pid).state != 'Z'; }
  Lines left_in_bundle(const std::string& id) const {
    Lines names;
    for (const auto& entry : fs::directory_iterator(bundle(id)))
      if (entry.path().filename().string().starts_with(".")) names.push_back(entry.path());
    return names;
  }
};

class WrappedRuntime : public Wrapped, public testing::WithParamInterface<Wrapper> {
 protected:
  WrappedRuntime() { wrap(GetParam().script); }
};

TEST_P(WrappedRuntime, ServesAWholeLife) {
  auto shim = start_shim("c1");
  run_wrapped(*shim, "c1");
  exec(*shim, "c1", "e1", {"/bin/sh", "-c", "exit 7"});
  shim->start("c1", "e1");
  EXPECT_EQ(shim->wait("c1", "e1"), 7u);
  shim->remove("c1", "e1");
  shim->end(shim->pause_begin("c1"));
  shim->end(shim->resume_begin("c1"));
  shim->end(shim->update_begin("c1", R"({"pids":{"limit":100}})"));
  EXPECT_EQ(left_in_bundle("c1"), Lines());
  shim->end_container("c1");
  end_shim(*shim);
  EXPECT_FALSE(fs::exists(directory_ / "root" / namespace_ / "c1"));
}

TEST_P(WrappedRuntime, FailsWithItsOwnError) {
  auto shim = start_shim("c1");
  run_wrapped(*shim, "c1");
  exec(*shim, "c1", "e1", {"/no/such/program"});
  const Error refused = shim->refusal_of(shim->start_begin("c1", "e1"));
  EXPECT_TRUE(contains(refused, "OCI runtime exec failed: ")) << refused.what();
  EXPECT_TRUE(contains(refused, "/no/such/program")) << refused.what();
  EXPECT_FALSE(contains(refused, "exit status")) << refused.what();
  EXPECT_EQ(left_in_bundle("c1"), Lines());
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_P(WrappedRuntime, GivesTheTerminalOfAnExec) {
  auto shim = start_shim("c1");
  run_wrapped(*shim, "c1");
  api::ExecProcessRequest request;
  request.set_terminal(true);
  request.set_stdout(make_fifo("out"));
  const Fd out = open_file(request.stdout(), O_RDONLY | O_NONBLOCK);
  exec(*shim, "c1", "e1", {"/bin/sh", "-c", "tty; exit 7"}, request);
  shim->start("c1", "e1");
  EXPECT_NE(read_all(*shim, out.get()).find("/dev/pts/"), std::string::npos);
  EXPECT_EQ(shim->wait("c1", "e1"), 7u);
  shim->remove("c1", "e1");
  shim->end_container("c1");
  end_shim(*shim);
}

TEST_P(WrappedRuntime, IsCleanedUpAfterACrash) {
  auto shim = start_shim("c1");
  const pid_t pid = run_wrapped(*shim, "c1");
  kill_shim();
  const Outcome outcome = cleanup("c1");
  EXPECT_EQ(outcome.exit_code, 0) << outcome;
  EXPECT_EQ(outcome.err, "");
  EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(left_in_bundle("c1"), Lines());
}

INSTANTIATE_TEST_SUITE_P(That, WrappedRuntime, testing::ValuesIn(kWrappers),
                         [](const auto& one) { return std::string(one.param.name); });

class WrapperThatLies : public Wrapped {};

// It passes neither the runtime's exit status nor its errors on.
TEST_F(WrapperThatLies, DoesNotMakeDeleteSucceedIfTheContainerStillRuns) {
  wrap("$runtime \"$@\"");
  auto shim = start_shim("c1");
  const pid_t pid = run_wrapped(*shim, "c1");
  kill_shim();
  wrap("echo 'container does not exist' >&2\ncase \" $* \" in *' delete '*) ;; *) exit 1 ;; esac");
  const Outcome outcome = cleanup("c1");
  EXPECT_EQ(outcome.exit_code, 1) << outcome;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("init process " + std::to_string(pid) + " is still running"),
            std::string::npos)
      << outcome;
  EXPECT_TRUE(is_alive(pid));
  wrap("$runtime \"$@\"");
  EXPECT_EQ(cleanup("c1").exit_code, 0);
  EXPECT_FALSE(is_alive(pid));
}

// Init is dead, but not what it has started in the host's pid namespace.
TEST_F(WrapperThatLies, DoesNotMakeDeleteSucceedIfAnythingOfTheContainerStillRuns) {
  wrap("$runtime \"$@\"");
  ContainerConfig config;
  config.own_pid_namespace = false;
  config.cgroups_path = "/" + namespace_ + "/c1";
  config.args = {"/bin/sh", "-c", "sleep 1000 & echo $! >&2; wait"};
  auto shim = start_shim("c1", config);
  const pid_t init = run_wrapped(*shim, "c1");
  EXPECT_TRUE(eventually([&] { return !children_of(init).empty(); }));
  const pid_t orphan = children_of(init).at(0).pid;
  kill_shim();
  ::kill(init, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_alive(init); }));
  wrap("echo 'container does not exist' >&2\ncase \" $* \" in *' delete '*) ;; *) exit 1 ;; esac");
  const Outcome outcome = cleanup("c1");
  EXPECT_TRUE(is_alive(orphan));
  EXPECT_EQ(outcome.exit_code, 1) << outcome;
  EXPECT_NE(outcome.err.find("processes remain in cgroup " + config.cgroups_path),
            std::string::npos)
      << outcome;
  wrap("$runtime \"$@\"");
  EXPECT_EQ(cleanup("c1").exit_code, 0);
  EXPECT_FALSE(is_alive(orphan));
}

// The pid in init.pid may be reused.
TEST_F(WrapperThatLies, IsTrustedIfAnotherProcessHasInitsPid) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  shim->end_container("c1");
  end_shim(*shim);
  std::ofstream(bundle("c1") / "init.pid") << ::getpid();
  const Outcome outcome = cleanup("c1");
  EXPECT_EQ(outcome.exit_code, 0) << outcome;
}

}  // namespace
}  // namespace thinshim::test
