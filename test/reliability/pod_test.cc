// SPDX-License-Identifier: Apache-2.0
// The cleanup of a pod whose shim is dead, as containerd 2.3 and later do it with version 3 of the
// protocol. The test plays containerd. The pod's first container, the sandbox, is started with
// BootstrapParams, the others come to the same shim without a `start`. When the shim dies,
// containerd removes the others' bundles immediately, and calls `delete` for the sandbox only
// (containerd issues 9727, 10727; CRI's event monitor and core/runtime/v2/shim_manager.go of
// 2.3.4).
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <random>

#include "bootstrap.pb.h"
#include "reliability/fast_shim.h"
#include "reliability/scale.h"
#include "runc_options.pb.h"
#include "support/dying_process.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

const Lines kOthers = {"web", "job"};

class Pod : public FastShimTest {
 protected:
  Pod() {
    sandbox_.annotations = {{"io.kubernetes.cri.container-type", "sandbox"},
                            {"io.kubernetes.cri.sandbox-id", "sandbox"}};
  }

  // Replaces bundles of an earlier pod.
  void make_bundles(const Words& args = {"/bin/sleep", "1000"}) {
    sandbox_.args = args;
    for (const std::string& id : Lines{"sandbox"} + kOthers) {
      make_bundle(id, sandbox_);
      for (const auto& entry : fs::directory_iterator(bundle(id)))
        if (entry.path().filename() != "config.json" && entry.path().filename() != "rootfs" &&
            entry.path().filename() != "log")
          fs::remove_all(entry.path());
    }
  }
  std::unique_ptr<TaskCalls> start_sandbox() {
    const Outcome started = start("sandbox", bootstrap_params("sandbox"));
    containerd::runtime::bootstrap::v1::BootstrapResult result;
    EXPECT_TRUE(started.ok() && result.ParseFromString(started.out)) << started;
    EXPECT_EQ(result.version(), 3);
    for (const std::string& id : Lines{"sandbox"} + kOthers)
      std::ofstream(bundle(id) / "bootstrap.json")
          << R"({"version":3,"address":")" << result.address() << R"(","protocol":"ttrpc"})";
    for (const std::string& id : kOthers) std::ofstream(bundle(id) / "sandbox") << "sandbox";
    std::unique_ptr<TaskCalls> shim = connect(result.address());
    shim_ = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
    return shim;
  }
  void kill_shim() const {
    ::kill(shim_, SIGKILL);
    EXPECT_TRUE(eventually([&] { return !is_alive(shim_); }));
  }
  void remove_bundles_of_others() const {
    for (const std::string& id : kOthers) fs::remove_all(bundle(id));
  }
  // What a killed runtime has left may cause a warning.
  void expect_success(const Outcome& outcome, bool may_warn = false) {
    api::DeleteResponse response;
    EXPECT_TRUE(outcome.ok() && response.ParseFromString(outcome.out)) << outcome;
    if (!may_warn) {
      EXPECT_EQ(outcome.err, "");
    }
  }
  Lines members() const {
    Lines names;
    for (const auto& entry : fs::directory_iterator(bundle("sandbox")))
      if (entry.path().extension() == ".member") names.push_back(entry.path().stem());
    std::sort(names.begin(), names.end());
    return names;
  }
  static bool is_alive(pid_t pid) {
    const Process one = process(pid);
    return one.parent >= 0 && one.state != 'Z' && one.state != 'X';
  }
  // Create and Start of all, one after the other; calls after the shim's death fail.
  static Task<> make_pod(TaskCalls& shim, std::vector<api::CreateTaskRequest> requests,
                         std::vector<pid_t>& inits, bool& over) {
    try {
      for (const api::CreateTaskRequest& request : requests) {
        api::StartRequest start;
        start.set_id(request.id());
        const api::CreateTaskResponse created =
            co_await shim.ask<api::CreateTaskResponse>("Create", request);
        inits.push_back(static_cast<pid_t>(created.pid()));
        co_await shim.ask<api::StartResponse>("Start", start);
      }
    } catch (const Error&) {
    }
    over = true;
  }
  std::vector<api::CreateTaskRequest> fast_requests() const {
    std::vector<api::CreateTaskRequest> requests;
    for (const std::string& id : Lines{"sandbox"} + kOthers) requests.push_back(fast_request(id));
    return requests;
  }
  void expect_nothing_left(const Leftovers& before, const std::vector<pid_t>& inits) {
    for (const pid_t init : inits) EXPECT_TRUE(eventually([&] { return !is_alive(init); })) << init;
    std::string left;
    for (const std::string& trace : before.after()) left += "\n  " + trace;
    EXPECT_EQ(left, "");
  }
  // The shim is killed, and containerd calls `delete` for the sandbox.
  void expect_cleaned_up(const Leftovers& before, const std::vector<pid_t>& inits) {
    kill_shim();
    remove_bundles_of_others();
    expect_success(cleanup("sandbox"));
    expect_nothing_left(before, inits);
  }

  ContainerConfig sandbox_;
  pid_t shim_ = 0;
};

TEST_F(Pod, WhoseShimIsKilledLeavesNoProcessRunningThoughTheBundlesAreGone) {
  make_bundles();
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  std::vector<pid_t> inits = {run(*shim, "sandbox"), run(*shim, "web")};
  // One container's runtime has another root.
  containerd::runc::v1::Options options;
  options.set_root(directory_ / "root");
  api::CreateTaskRequest request = create_request("job");
  set_options(request, options);
  shim->end(shim->create_begin(request));
  inits.push_back(shim->start("job"));
  EXPECT_EQ(members(), (Lines{"job", "web"}));

  kill_shim();
  remove_bundles_of_others();
  for (const pid_t init : inits) EXPECT_TRUE(is_alive(init)) << "containers outlive their shim";
  expect_success(cleanup("sandbox"));
  EXPECT_EQ(fs::exists(directory_ / "root" / namespace_ / "job"), false);
  expect_nothing_left(before, inits);
  expect_success(cleanup("sandbox")) /* once more */;
}

// runc takes a tenth of a second to remove a running container.
TEST_F(Pod, OfManyContainersIsCleanedUpBeforeContainerdTimesOut) {
  constexpr int kContainers = 40;
  const Duration limit = std::chrono::seconds(5) * slowness();
  make_bundles();
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  std::vector<pid_t> inits = {run(*shim, "sandbox")};
  for (int i = 1; i < kContainers; ++i) {
    const std::string id = "c" + std::to_string(i);
    make_bundle(id, sandbox_);
    inits.push_back(run(*shim, id));
    fs::remove_all(bundle(id));
  }
  kill_shim();
  const auto begin = Clock::now();
  expect_success(cleanup("sandbox"));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  EXPECT_LT(took, limit);
  figure("milliseconds to clean up a dead pod of 40 containers", static_cast<double>(took.count()));
  expect_nothing_left(before, inits);
}

// The kernel may not be able to kill its process, for which runc waits 10 s. containerd kills
// `delete` before that, and calls it again only when it restarts.
TEST_F(Pod, OfWhichTheSandboxCannotBeRemovedLeavesNoneOfTheOthersRunning) {
  const fs::path runtime = directory_ / "hangs" / "runc";
  fs::create_directories(runtime.parent_path());
  std::ofstream(runtime) << "#!/bin/sh\n"
                            "case \" $* \" in *' delete '*' sandbox ') exec sleep 60 ;; esac\n"
                            "exec "
                         << fast_runtime() << " \"$@\"\n";
  fs::permissions(runtime, fs::perms::owner_all);
  make_bundles({"sleep"});
  auto shim = start_sandbox();
  std::vector<pid_t> inits;
  for (const std::string& id : Lines{"sandbox"} + kOthers) {
    shim->end(shim->create_begin(fast_request(id, runtime)));
    inits.push_back(shim->start(id));
  }
  kill_shim();
  remove_bundles_of_others();
  Subprocess deletion(command("sandbox", {"-bundle", bundle("sandbox"), "delete"}),
                      surroundings("sandbox"));
  for (std::size_t i = 1; i < inits.size(); ++i)
    EXPECT_TRUE(eventually([&] { return !is_alive(inits[i]); })) << kOthers[i - 1];
  EXPECT_TRUE(is_alive(inits[0]));
  ::kill(deletion.pid(), SIGKILL);
  deletion.wait();
  for (const pid_t init : inits) ::kill(init, SIGKILL);
  std::ofstream(runtime) << "#!/bin/sh\nexec " << fast_runtime() << " \"$@\"\n";
  expect_success(cleanup("sandbox"), true);
}

// containerd 2.4 calls `delete` for each of them, and removes the bundle after each success.
TEST_F(Pod, WhoseContainersAreAllDeletedAtOnceIsCleanedUpOnce) {
  for (int round = 0; round < scaled(5, 50) && !HasFailure(); ++round) {
    make_bundles();
    const Leftovers before(namespace_);
    auto shim = start_sandbox();
    std::vector<pid_t> inits;
    for (const std::string& id : Lines{"sandbox"} + kOthers) inits.push_back(run(*shim, id));
    kill_shim();
    std::vector<Subprocess> deletions;
    for (const std::string& id : Lines{"sandbox"} + kOthers)
      deletions.emplace_back(command(id, {"-bundle", bundle(id), "delete"}), surroundings(id));
    for (Subprocess& deletion : deletions) {
      const Outcome outcome = deletion.wait();
      EXPECT_EQ(outcome.exit_code, 0) << outcome;
    }
    expect_nothing_left(before, inits);
  }
}

TEST_F(Pod, ThatIsDeletedInOrderLeavesNoRecord) {
  make_bundles();
  auto shim = start_sandbox();
  run(*shim, "sandbox");
  EXPECT_EQ(members(), Lines()) << "it is its own bundle";
  for (int round = 0; round < 2; ++round) {
    run(*shim, "web");
    EXPECT_EQ(members(), Lines{"web"});
    shim->end_container("web");
    EXPECT_EQ(members(), Lines());
  }
  fs::remove(bundle("job") / "config.json");
  shim->refusal_of(shim->create_begin(create_request("job")));
  std::ofstream(bundle("job") / "config.json") << "{}";
  shim->refusal_of(shim->create_begin(create_request("job")));
  EXPECT_EQ(members(), Lines()) << "nor does one that cannot be made";
  shim->end_container("sandbox");
  end_shim(*shim);
}

TEST_F(Pod, WhoseSandboxIsRecreatedHasTheRecordsOfRunningContainers) {
  make_bundles();
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  run(*shim, "sandbox");
  std::vector<pid_t> inits = {run(*shim, "web")};
  run(*shim, "job");
  shim->end_container("sandbox");
  shim->end_container("job");
  const std::string bootstrap = read(bundle("sandbox") / "bootstrap.json");
  fs::rename(bundle("sandbox"), directory_ / "elsewhere");
  fs::create_directory(bundle("sandbox"));
  for (const char* file : {"config.json", "rootfs", "log"})
    fs::rename(directory_ / "elsewhere" / file, bundle("sandbox") / file);
  std::ofstream(bundle("sandbox") / "bootstrap.json") << bootstrap;
  inits.push_back(run(*shim, "sandbox"));
  EXPECT_EQ(members(), Lines{"web"});
  expect_cleaned_up(before, inits);
}

// Without a record the container would keep running: containerd does not ask for it once the first
// bundle is gone.
TEST_F(Pod, MakesNoContainerThatCannotBeRecorded) {
  make_bundles();
  auto shim = start_sandbox();
  fs::create_directory(bundle("sandbox") / "web.member");
  const Error refused = shim->refusal_of(shim->create_begin(create_request("web")));
  EXPECT_NE(std::string(refused.what()).find("failed to write the container's record: rename "),
            std::string::npos)
      << refused.what();
  fs::remove(bundle("sandbox") / "web.member");
  fs::rename(bundle("sandbox"), directory_ / "elsewhere");
  run(*shim, "web");
  fs::rename(directory_ / "elsewhere", bundle("sandbox"));
  shim->end_container("web");
  end_shim(*shim);
}

TEST_F(Pod, WhoseShimIsKilledLeavesAContainerOfAnotherShimWithAReusedIdRunning) {
  make_bundles();
  auto shim = start_sandbox();
  run(*shim, "sandbox");
  run(*shim, "web");
  const std::string record = read(bundle("sandbox") / "web.member");
  shim->end_container("web");
  // As if the shim had been killed before it removed the record.
  std::ofstream(bundle("sandbox") / "web.member") << record;
  sandbox_.annotations = {};
  make_bundle("web", sandbox_);
  fs::remove(bundle("web") / "bootstrap.json");
  kill_shim();
  const Outcome started = start("web");
  ASSERT_TRUE(started.ok()) << started;
  auto others = connect(started.out);
  const pid_t init = run(*others, "web");
  expect_success(cleanup("sandbox"));
  EXPECT_TRUE(is_alive(init));
  others->end_container("web");
  end_shim(*others);
}

// The other pod's first container was deleted, and its shim is alive.
TEST_F(Pod, WhoseShimIsKilledLeavesNoProcessRunningThoughTheFirstBundleOfAnotherPodIsGone) {
  make_bundle("other");
  const Outcome started = start("other");
  ASSERT_TRUE(started.ok()) << started;
  auto others = connect(started.out);
  others->end(others->connect_begin("")) /* it has found its bundle */;
  fs::remove_all(bundle("other"));
  make_bundles();
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  const std::vector<pid_t> inits = {run(*shim, "sandbox"), run(*shim, "web")};
  expect_cleaned_up(before, inits);
  end_shim(*others);
}

// As /var/run does.
TEST_F(Pod, WhoseBundlesAreNamedByALinkKnowsItsOwn) {
  make_bundles();
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  fs::create_directory_symlink(bundles_, directory_ / "link");
  std::vector<pid_t> inits;
  for (const std::string& id : Lines{"sandbox", "web"}) {
    api::CreateTaskRequest request = create_request(id);
    request.set_bundle(directory_ / "link" / id);
    shim->end(shim->create_begin(request));
    inits.push_back(shim->start(id));
  }
  EXPECT_EQ(members(), Lines{"web"});
  expect_cleaned_up(before, inits);
}

// `delete` reads the records before it waits for the dead shim's helpers.
TEST_F(Pod, WhoseShimIsKilledLeavesAContainerThatIsRecreatedMeanwhileRunning) {
  make_bundles();
  auto shim = start_sandbox();
  run(*shim, "sandbox");
  const pid_t job = run(*shim, "job");
  run(*shim, "web");
  const std::string record = read(bundle("sandbox") / "web.member");
  shim->end_container("web");
  shim->end_container("sandbox");
  std::ofstream(bundle("sandbox") / "web.member") << record;
  kill_shim();
  for (const char* file : {"address", "bootstrap.json", "init.pid"})
    fs::remove(bundle("web") / file);
  fs::rename(bundle("web"), directory_ / "web");

  DyingProcess helper(bundle("sandbox"));
  Subprocess deletion(command("sandbox", {"-bundle", bundle("sandbox"), "delete"}),
                      surroundings("sandbox"));
  eventually([&] { return deletion.has_ended(); }, std::chrono::milliseconds(300));
  fs::rename(directory_ / "web", bundle("web"));
  sandbox_.annotations = {};
  make_bundle("web", sandbox_);
  const Outcome started = start("web");
  ASSERT_TRUE(started.ok()) << started;
  auto others = connect(started.out);
  const pid_t init = run(*others, "web");
  helper.end();
  expect_success(deletion.wait());
  EXPECT_TRUE(is_alive(init));
  EXPECT_TRUE(eventually([&] { return !is_alive(job); }));
  others->end_container("web");
  end_shim(*others);
}

TEST_F(Pod, KeepsTheRecordOfAContainerWhoseCreationIsNotUndone) {
  fs::create_directories(directory_ / "bin");
  const fs::path runtime = directory_ / "bin/runc";
  std::ofstream(runtime) << "#!/bin/sh\ncase \" $* \" in *' delete '*) [ ! -e "
                         << directory_ / "refuse" << " ] || exit 1 ;; esac\n"
                         << fast_runtime() << R"( "$@" || exit
case " $* " in *' create '*) exit 1 ;; esac
)";
  fs::permissions(runtime, fs::perms::owner_all);
  make_bundles({"sleep"});
  const Leftovers before(namespace_);
  auto shim = start_sandbox();
  shim->end(shim->create_begin(fast_request("sandbox")));
  shim->refusal_of(shim->create_begin(fast_request("web", runtime)));
  EXPECT_EQ(members(), Lines()) << "all of it could be undone";
  std::ofstream(directory_ / "refuse") << "";
  shim->refusal_of(shim->create_begin(fast_request("web", runtime)));
  EXPECT_EQ(members(), Lines{"web"});
  kill_shim();
  remove_bundles_of_others();
  fs::remove(directory_ / "refuse");
  expect_success(cleanup("sandbox"));
  expect_nothing_left(before, {});
}

TEST_F(Pod, WhoseRecordCannotBeReadIsNotCleanedUp) {
  make_bundles({"sleep"});
  auto shim = start_sandbox();
  std::vector<pid_t> inits;
  bool over = false;
  shim->calls.spawn(make_pod(*shim, fast_requests(), inits, over), "a pod");
  shim->until([&] { return over; });
  kill_shim();
  remove_bundles_of_others();
  const std::string record = read(bundle("sandbox") / "web.member");
  std::ofstream(bundle("sandbox") / "web.member") << "nonsense";
  const Outcome outcome = cleanup("sandbox");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.err.find("not a container record"), std::string::npos) << outcome;
  EXPECT_TRUE(eventually([&] { return !is_alive(inits.at(0)); }));
  EXPECT_TRUE(is_alive(inits.at(1)));
  EXPECT_TRUE(eventually([&] { return !is_alive(inits.at(2)); })) << "the rest is done";
  std::ofstream(bundle("sandbox") / "web.member") << record;
  expect_success(cleanup("sandbox"));
  EXPECT_TRUE(eventually([&] { return !is_alive(inits.at(1)); }));
}

// Another process removes the bundles, from before the shim's death to after `delete`.
TEST_F(Pod, WhoseBundlesAreRemovedAtAnyMomentLeavesNoProcessRunning) {
  constexpr int kMoments = 100;
  useconds_t whole = 20000;  // microseconds from the signal to the end of `delete`
  for (int i = 0; i < kMoments && !HasFailure(); ++i) {
    SCOPED_TRACE("moment " + std::to_string(i) + " of " + std::to_string(kMoments));
    make_bundles({"sleep"});
    const Leftovers before(namespace_);
    auto shim = start_sandbox();
    std::vector<pid_t> inits;
    bool over = false;
    shim->calls.spawn(make_pod(*shim, fast_requests(), inits, over), "a pod");
    shim->until([&] { return over; });
    ASSERT_EQ(inits.size(), 3u);
    const pid_t remover = ::fork();
    if (remover == 0) {
      ::usleep(whole * static_cast<useconds_t>(i) / kMoments);
      remove_bundles_of_others();
      ::_exit(0);
    }
    const auto begin = Clock::now();
    ::usleep(whole / 10);
    ::kill(shim_, SIGKILL);
    expect_success(cleanup("sandbox"));
    whole = static_cast<useconds_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    ::waitpid(remover, nullptr, 0);
    expect_nothing_left(before, inits);
  }
  figure("moments at which the bundles of a dead shim's pod vanished", kMoments);
}

TEST_F(Pod, WhoseShimIsKilledAtAnyMomentLeavesNoProcessRunning) {
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  const int moments = scaled(30, 200);
  useconds_t whole = 0;
  for (int i = 0; i <= moments && !HasFailure(); ++i) {
    make_bundles({"sleep"});
    const Leftovers before(namespace_);
    auto shim = start_sandbox();
    const useconds_t moment =
        i == 0 ? 0 : std::uniform_int_distribution<useconds_t>(0, whole)(random);
    SCOPED_TRACE(std::to_string(moment) + " microseconds, seed " + std::to_string(seed));
    const pid_t killer = i == 0 ? 0 : ::fork();
    if (i > 0 && killer == 0) {
      ::usleep(moment);
      ::kill(shim_, SIGKILL);
      ::_exit(0);
    }
    std::vector<pid_t> inits;
    bool over = false;
    const auto begin = Clock::now();
    shim->calls.spawn(make_pod(*shim, fast_requests(), inits, over), "a pod");
    shim->until([&] { return over; });
    if (i == 0)
      whole = static_cast<useconds_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    if (killer > 0) ::waitpid(killer, nullptr, 0);
    ::kill(shim_, SIGKILL);
    remove_bundles_of_others();
    expect_success(cleanup("sandbox"), true);
    expect_nothing_left(before, inits);
  }
  figure("moments at which the shim of a pod was killed", moments);
}

}  // namespace
}  // namespace thinshim::test
