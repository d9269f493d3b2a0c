// SPDX-License-Identifier: Apache-2.0
#include "shim/processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/error.h"
#include "base/fd.h"
#include "base/proc.h"
#include "oci/bundle.h"
#include "process/launch.h"
#include "support/dying_process.h"
#include "support/eventually.h"
#include "support/older_kernel.h"
#include "support/temp_dir.h"

namespace {

int links_read = 0;
int failing = 0;  // which of them fails; 0 for none

}  // namespace

// Every readlink(2) of this program; one of them may fail with ENOMEM.
extern "C" ssize_t readlink(const char* path, char* buffer, std::size_t size) noexcept {
  if (++links_read != failing) return ::syscall(SYS_readlink, path, buffer, size);
  errno = ENOMEM;
  return -1;
}

namespace thinshim {
namespace {

class ShimProcesses : public ::testing::Test {
 protected:
  ShimProcesses() {
    ::mkdir(place_.bundle.c_str(), 0700);
    Bundle(place_.bundle).write_address(place_.address);
  }
  ~ShimProcesses() override { failing = 0; }

  static auto now() { return std::chrono::steady_clock::now(); }

  // Calls `look` once for each link that it reads; each time another one cannot be read.
  template <class Look>
  static void with_each_link_unread(Look look) {
    failing = links_read = 0;
    look();
    const int all = links_read;
    EXPECT_GT(all, 2);
    for (int one = 1; one <= all; ++one) {
      SCOPED_TRACE("link " + std::to_string(one));
      links_read = 0;
      failing = one;
      look();
    }
  }

  const test::TempDir dir_;
  const ShimBundles place_{"unix:///run/thinshim-test", dir_ / "pod"};
};

// A process with the command line of a shim.
class ServingProcess {
 public:
  explicit ServingProcess(const std::string& bundle, const std::string& name = "server") {
    const std::string script = "printf " + name + " >/proc/$$/comm; read -r _";
    int input[2];
    check(::pipe2(input, O_CLOEXEC), "pipe");
    Fd read_end(input[0]);
    held_ = Fd(input[1]);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(read_end.get(), 0);
    if (::chdir(bundle.c_str()) == 0)
      ::execl("/bin/sh", "sh", "-c", script.c_str(), "sh", "-task-api=3", nullptr);
    ::_exit(1);
  }
  ~ServingProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool is_dead() const { return process_state(pid_) == ProcessState::exited; }
  ServingProcess(const ServingProcess&) = delete;
  ServingProcess& operator=(const ServingProcess&) = delete;
  pid_t pid() const { return pid_; }

 private:
  Fd held_;
  pid_t pid_;
};

TEST_F(ShimProcesses, AreWaitedForUntilTheyAreGone) {
  test::DyingProcess process(place_.bundle);
  EXPECT_THROW(wait_for_dying_processes(place_, now()), Error);
  process.end();
  EXPECT_NO_THROW(wait_for_dying_processes(place_, now()));
}

TEST_F(ShimProcesses, AreWaitedForIfTheyCannotBeRead) {
  test::DyingProcess process(place_.bundle);
  with_each_link_unread([&] { EXPECT_THROW(wait_for_dying_processes(place_, now()), Error); });
}

TEST_F(ShimProcesses, AreWaitedForIfTheirBundlesCannotBeFound) {
  const std::string loop = dir_ / "loop";
  ASSERT_EQ(::symlink(loop.c_str(), loop.c_str()), 0);
  EXPECT_THROW(wait_for_dying_processes({place_.address, loop + "/pod"}, now()), Error);
  EXPECT_THROW(has_living_server({place_.address, loop + "/pod"}), Error);
  EXPECT_NO_THROW(wait_for_dying_processes({place_.address, dir_ / "none/pod"}, now()));
  EXPECT_FALSE(has_living_server({place_.address, dir_ / "none/pod"}));
}

TEST_F(ShimProcesses, AreKilledOnOlderKernelsToo) {
  for (int errnum : {ENOSYS, EPERM})
    for (long call : {test::kAllNewerCalls, long{SYS_pidfd_open}, long{SYS_pidfd_send_signal}}) {
      const ServingProcess runtime(place_.bundle);
      ASSERT_TRUE(test::eventually([&] { return has_living_server(place_); }));
      const pid_t child = ::fork();
      if (child == 0) {
        if (!test::refuse_calls(call, errnum)) ::_exit(1);
        kill_if_creating(dir_ / "another", dir_ / "another/rootfs", runtime.pid());
        if (runtime.is_dead()) ::_exit(2);
        kill_if_creating(place_.bundle, dir_ / "rootfs", runtime.pid());
        ::_exit(0);
      }
      int status = -1;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
      EXPECT_TRUE(test::eventually([&] { return runtime.is_dead(); })) << call << " " << errnum;
    }
}

// A logger on a hung file system outlives its shim, and still has the shim's command line.
TEST_F(ShimProcesses, DoNotIncludeALoggerAsALivingServer) {
  const ServingProcess start(place_.bundle, kLaunchName);
  ASSERT_TRUE(test::eventually(
      [&] { return read_proc_file(start.pid(), "comm") == std::string(kLaunchName) + "\n"; }));
  EXPECT_FALSE(has_living_server(place_));
}

TEST_F(ShimProcesses, IncludeALivingServerOrAnErrorIfOneCannotBeRead) {
  EXPECT_FALSE(has_living_server(place_));
  const ServingProcess server(place_.bundle);
  ASSERT_TRUE(test::eventually([&] { return has_living_server(place_); }));
  with_each_link_unread([&] {
    bool answer = true;
    try {
      answer = has_living_server(place_);
    } catch (const Error&) {  // it is unknown
    }
    EXPECT_TRUE(answer);
  });
}

}  // namespace
}  // namespace thinshim
