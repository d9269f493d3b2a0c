// SPDX-License-Identifier: Apache-2.0
// Shortages of the machine: descriptors, memory, disk space. A container's life is run under each
// limit, tighter and looser, and then without it.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <utility>

#include "reliability/fault_life.h"
#include "reliability/scale.h"
#include "support/cgroups.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Limits : public FaultLifeTest {
 protected:
  void SetUp() override {
    FaultLifeTest::SetUp();
    live(std::nullopt);  // the reference for the others
  }

  // A life under a limit, then, if the shim has survived, another one of the same shim without the
  // limit.
  template <class Limit, class Lift>
  Life live_under(const std::string& title, Limit limit, Lift lift) {
    Life life;
    life.title = title;
    life.lasting = true;
    life.first_event = history().size();
    make_fresh_bundle();
    const Leftovers before(namespace_);
    const Outcome started = start("c1");
    if (!started.ok()) throw std::runtime_error("start failed: " + started.err);
    auto shim = connect(started.out);
    life.pid = static_cast<pid_t>(shim->end(shim->connect_begin("")).shim_pid());
    limit(life.pid);
    auto newcomer = connect(started.out);
    auto question = newcomer->connect_begin("");
    go_through(*shim, life);
    lift(life.pid);
    life.lasting = false;
    end_container(*shim, life);
    if (!life.died) expect_events(*shim, life);
    if (!becomes_true(*newcomer, [&] { return question->done.is_set(); }))
      problem(life, "a client that connected meanwhile gets no answer");
    newcomer.reset();
    life.first_event = history().size();
    go_through(*shim, life);
    end_shim_of(*shim, life);
    shim.reset();
    clean_up(life);
    expect_nothing_left(life, before);
    for (const std::string& error : life.errors)
      if (std::getenv("THINSHIM_FAULT") != nullptr) std::cout << title << ": " << error << "\n";
    ++lives_;
    refusals_ += static_cast<int>(life.errors.size());
    deaths_ += life.died;
    return life;
  }

  // Each limit leaves so much free.
  void live_under_limits(__rlimit_resource resource, const std::string& name,
                         const std::vector<long>& spares, long (*in_use)(pid_t)) {
    for (long spare : spares) {
      rlimit before{};
      live_under(
          name + " and " + std::to_string(spare) + " to spare",
          [&](pid_t pid) {
            check(::prlimit(pid, resource, nullptr, &before), "prlimit");
            rlimit tight{static_cast<rlim_t>(in_use(pid) + spare), before.rlim_max};
            check(::prlimit(pid, resource, &tight, nullptr), "prlimit");
          },
          [&](pid_t pid) { ::prlimit(pid, resource, &before, nullptr); });
    }
  }

  // From less than the current use to enough.
  static std::vector<long> spares_of_memory() {
    std::vector<long> spares = {-2'000'000, -600'000, -500'000, -300'000};
    for (long spare = 0; spare <= 4'000'000; spare = spare * 2 + scaled(64'000, 8'000))
      spares.push_back(spare);
    return spares;
  }

  // A number of /proc/PID/status, in bytes.
  static long status(pid_t pid, const std::string& field) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
      if (line.rfind(field + ":", 0) == 0) return std::stol(line.substr(field.size() + 1)) * 1024;
    throw std::runtime_error("no " + field);
  }

  void expect_no_problems(const std::string& what) {
    for (const std::string& problem : problems()) ADD_FAILURE() << problem;
    figure("lives with " + what, lives_);
    figure("refusals with " + what, refusals_);
    figure("shims ended by " + what, deaths_);
  }

  // A file that takes all free space.
  static void fill(const fs::path& directory) {
    const Fd file = open_file(directory / "filler", O_WRONLY | O_CREAT, 0600);
    const std::string block(4096, 'x');
    while (::write(file.get(), block.data(), block.size()) > 0) {
    }
    for (int i = 0;; ++i)  // and all free inodes
      if (!try_open(directory / ("filler" + std::to_string(i)), O_WRONLY | O_CREAT, 0600)) return;
  }
  static void make_room(const fs::path& directory) {
    Lines fillers;
    for (const auto& entry : fs::directory_iterator(directory))
      if (entry.path().filename().string().rfind("filler", 0) == 0) fillers.push_back(entry.path());
    for (const std::string& filler : fillers) fs::remove(filler);
  }

  int lives_ = 0;
  int refusals_ = 0;
  int deaths_ = 0;
};

TEST_F(Limits, OfDescriptorsAreSurvived) {
  std::vector<long> spares;
  for (long spare = 0; spare <= 24; spare += scaled(3, 1)) spares.push_back(spare);
  live_under_limits(RLIMIT_NOFILE, "descriptors", spares, [](pid_t pid) {
    int highest = 0;
    for (const std::string& file : open_files(pid)) highest = std::max(highest, std::stoi(file));
    return static_cast<long>(highest + 1);
  });
  expect_no_problems("too few descriptors");
  EXPECT_GT(refusals_, 0);
  EXPECT_EQ(deaths_, 0);
}

// For the action `start`, and so for the shim that it starts.
TEST_F(Limits, OfDescriptorsAtTheBeginningEndInAnErrorOrAreCleanedUpAfter) {
  for (int count = 3; count <= 40; count += scaled(4, 1)) {
    Life life;
    life.title = std::to_string(count) + " descriptors";
    life.lasting = true;
    make_fresh_bundle();
    const Leftovers before(namespace_);
    const Words limited = {"sh", "-c", "ulimit -n $0 && exec \"$@\"", std::to_string(count)};
    const Outcome started = test::run(limited + command("c1", {"start"}), surroundings("c1"));
    if (started.ok()) {
      const std::vector<Process> shims = shims_of_namespace(namespace_);
      life.pid = shims.empty() ? 0 : shims.front().pid;
      auto shim = connect(started.out);
      go_through(*shim, life);
      if (life.pid != 0) ::kill(life.pid, SIGKILL);  // it has too few to delete a container
    } else {
      EXPECT_EQ(started.exit_code, 1) << started;
      expect_clear(life, "start", started.err);
      ++refusals_;
    }
    clean_up(life);
    expect_nothing_left(life, before);
    ++lives_;
    refusals_ += static_cast<int>(life.errors.size());
    deaths_ += life.died;
  }
  expect_no_problems("few descriptors from the beginning");
  EXPECT_GT(refusals_, 0);
}

TEST_F(Limits, OfAddressSpaceAreSurvivedOrCleanedUpAfter) {
  live_under_limits(RLIMIT_AS, "bytes of address space", spares_of_memory(),
                    [](pid_t pid) { return status(pid, "VmSize"); });
  expect_no_problems("too little address space");
  EXPECT_GT(refusals_, 0);
}

TEST_F(Limits, OfDataAreSurvivedOrCleanedUpAfter) {
  live_under_limits(RLIMIT_DATA, "bytes of data", spares_of_memory(),
                    [](pid_t pid) { return status(pid, "VmData"); });
  expect_no_problems("too little data segment");
  EXPECT_GT(refusals_, 0);
}

TEST_F(Limits, OfAMemoryGroupAreSurvivedOrCleanedUpAfter) {
  const bool v1 = fs::exists("/sys/fs/cgroup/memory");
  const fs::path group =
      fs::path(v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup") / (namespace_ + "-shim");
  for (int kilobytes = 64; kilobytes <= 4096; kilobytes *= scaled(4, 2)) {
    fs::create_directories(group);
    const auto set = [&](long bytes) {
      std::ofstream(group / (v1 ? "memory.limit_in_bytes" : "memory.max")) << bytes;
    };
    live_under(
        std::to_string(kilobytes) + " kB for the shim's group",
        [&](pid_t pid) {
          set(kilobytes << 10);
          std::ofstream(group / "cgroup.procs") << pid;
        },
        [&](pid_t) { set(1 << 30); });
    EXPECT_TRUE(eventually([&] { return ::rmdir(group.c_str()) == 0; }));
  }
  expect_no_problems("too little memory for the shim's group");
  EXPECT_GT(refusals_ + deaths_, 0);
}

TEST_F(Limits, OfTheBundlesDiskAreSurvived) {
  const fs::path disk = bundle("c1");
  const std::string config = read(disk / "config.json");
  check(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k,nr_inodes=40"), "mount");
  std::ofstream(disk / "config.json") << config;
  fs::create_directory(disk / "rootfs");
  fill(disk);
  const Outcome refused = start("c1");
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_NE(refused.err.find("no space left on device"), std::string::npos) << refused;
  make_room(disk);
  const Life life = live_under(
      "no room for the bundle", [&](pid_t) { fill(disk); }, [&](pid_t) { make_room(disk); });
  EXPECT_FALSE(life.died);
  EXPECT_FALSE(life.errors.empty());
  bool begun = false;
  before_execs_ = [&] {
    if (!std::exchange(begun, true)) fill(disk);
  };
  const Life later = live_under("no room for execs", [](pid_t) {}, [&](pid_t) { make_room(disk); });
  EXPECT_FALSE(later.died);
  EXPECT_FALSE(later.errors.empty());
  expect_no_problems("a bundle on a full disk");
  check(::umount2(disk.c_str(), 0), "umount");
}

TEST_F(Limits, OfTheDiskOfSocketsAndStatesAreSurvived) {
  for (const std::string& disk :
       {std::string("/run/containerd/s"), "/run/containerd/runc/" + namespace_}) {
    fs::create_directories(disk);
    check(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=64k,nr_inodes=40"), "mount");
    fill(disk);
    if (disk == "/run/containerd/s") {
      const Outcome refused = start("c1");
      EXPECT_EQ(refused.exit_code, 1) << refused;
      EXPECT_NE(refused.err.find("no space left on device"), std::string::npos) << refused;
    }
    make_room(disk);
    const Life life = live_under(
        "no room in " + disk, [&](pid_t) { fill(disk); }, [&](pid_t) { make_room(disk); });
    EXPECT_FALSE(life.died);
    EXPECT_EQ(life.errors.empty(), disk == "/run/containerd/s")
        << "a running shim needs no room for sockets";
    check(::umount2(disk.c_str(), 0), "umount");
  }
  expect_no_problems("a full /run");
}

}  // namespace
}  // namespace thinshim::test
