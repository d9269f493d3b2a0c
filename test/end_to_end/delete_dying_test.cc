// SPDX-License-Identifier: Apache-2.0
// The action `delete` after a shim was killed, while the processes that it had started still run.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "shim/address.h"
#include "support/dying_process.h"
#include "support/freezable_disk.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// containerd kills `delete` after that.
const Duration kLimit = std::chrono::seconds(5) * slowness();

class DeleteBesideTheDying : public ShimTest {
 protected:
  DeleteBesideTheDying() { pod_.annotations["io.kubernetes.cri.sandbox-id"] = "sandbox"; }

  // A container runs in the pod of `sandbox`; its shim was killed, and the first `delete` has
  // removed the socket.
  void crash_pod() {
    auto shim = start_shim("sandbox", pod_);
    make_bundle("other", pod_);
    EXPECT_TRUE(start("other").ok());
    init_ = run(*shim, "other");
    kill_shim();
    EXPECT_TRUE(fs::remove(socket_of("other")));
  }
  void crash(const std::string& id) {
    auto shim = start_shim(id);
    init_ = run(*shim, id);
    kill_shim();
  }
  void kill_shim() const {
    const pid_t pid = only_shim().pid;
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return process(pid).parent < 0; }));
  }
  std::string socket_of(const std::string& id) const {
    return path_of_address(read(bundle(id) / "address")).value_or("");
  }
  bool is_cleaned_up(const std::string& id) const {
    return process(init_).parent < 0 &&
           !fs::exists(fs::path("/run/containerd/runc") / namespace_ / id);
  }

  ContainerConfig pod_;
  pid_t init_ = 0;
};

// Helpers run in the shim's working directory, the pod's first bundle.
TEST_F(DeleteBesideTheDying, WaitsForThemForAnyContainerOfThePod) {
  crash_pod();
  DyingProcess helper(bundle("sandbox"));
  Subprocess deletion(command("other", {"-bundle", bundle("other"), "delete"}),
                      surroundings("other"));
  const auto has_begun = [&] { return deletion.has_ended() || process(init_).parent < 0; };
  EXPECT_FALSE(eventually(has_begun, std::chrono::milliseconds(300)));
  helper.end();
  const Outcome outcome = deletion.wait();
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(is_cleaned_up("other"));
}

TEST_F(DeleteBesideTheDying, CleansUpIfTheyNeverExit) {
  crash_pod();
  DyingProcess helper(bundle("sandbox"));
  const auto begin = Clock::now();
  const Outcome outcome = cleanup("other");
  EXPECT_LT(Clock::now() - begin, kLimit);
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_NE(outcome.err.find("process " + std::to_string(helper.pid()) +
                             " of the dead shim does not exit"),
            std::string::npos)
      << outcome;
  EXPECT_TRUE(is_cleaned_up("other"));
}

TEST_F(DeleteBesideTheDying, WaitsNoLongerAfterItHasWaitedForTheSocket) {
  crash_pod();
  DyingProcess helper(bundle("sandbox"));
  const SocketLock another(socket_of("other"));
  const auto begin = Clock::now();
  const Outcome outcome = cleanup("other");
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(3900) * slowness());
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_NE(outcome.err.find("another start or delete holds it"), std::string::npos) << outcome;
  EXPECT_TRUE(is_cleaned_up("other"));
}

TEST_F(DeleteBesideTheDying, DoesNotWaitForThoseOfAnotherPod) {
  crash("c1");
  make_bundle("stranger");
  std::ofstream(bundle("stranger") / "address") << "unix:///run/containerd/s/stranger";
  DyingProcess stranger(bundle("stranger"));
  const Outcome outcome = cleanup("c1");
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(is_cleaned_up("c1"));
}

TEST_F(DeleteBesideTheDying, DoesNotWaitIfNothingIsLeft) {
  auto shim = start_shim("c1");
  run(*shim, "c1");
  shim->end_container("c1");
  DyingProcess helper(bundle("c1"));
  const Outcome outcome = cleanup("c1");
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.err, "");
  end_shim(*shim);
}

// --- processes whose /proc files block

// A process of two threads: one waits for a disk and holds the lock of a part of its memory map,
// the other waits for the first and holds the lock of the whole map. A read that needs that lock,
// as of /proc/PID/cmdline, blocks.
class StuckProcess {
 public:
  explicit StuckProcess(const fs::path& place) : disk_(place / "disk.image", place / "disk") {
    const Fd file(::open((place / "disk/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::ftruncate(file.get(), kSize), 0);
    disk_.freeze();
    pid_ = ::fork();
    if (pid_ == 0) get_stuck(file.get());
  }
  ~StuckProcess() {
    disk_.thaw();
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  std::string command_line() const { return "/proc/" + std::to_string(pid_) + "/cmdline"; }

 private:
  static constexpr std::size_t kSize = 4096;

  [[noreturn]] static void get_stuck(int file) {
    void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close_range(3, ~0u, 0);  // the disk thaws when every process of its test has closed a pipe
    std::atomic<pid_t> writer = 0;
    std::thread([&] {
      writer = ::gettid();
      *static_cast<volatile char*>(memory) = 'x';
    }).detach();
    eventually([&] { return writer != 0 && process(writer).state == 'D'; });
    ::munmap(memory, kSize);
    ::_exit(0);
  }

  FreezableDisk disk_;
  pid_t pid_ = -1;
};

TEST_F(DeleteBesideTheDying, IsNotDelayedByALockedMemoryMap) {
  crash("c1");
  Outcome outcome;
  Clock::duration took;
  {
    const StuckProcess stranger(directory_);
    ASSERT_TRUE(eventually([&] {
      return test::run({"cat", stranger.command_line()}, {}, std::chrono::milliseconds(100))
          .timed_out;
    }));
    const auto begin = Clock::now();
    outcome = cleanup("c1");
    took = Clock::now() - begin;
  }
  EXPECT_LT(took, kLimit);
  EXPECT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(is_cleaned_up("c1"));
}

}  // namespace
}  // namespace thinshim::test
