// SPDX-License-Identifier: Apache-2.0
#include "oci/mount_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/proc.h"

namespace thinshim {
namespace {

constexpr useconds_t kMaxPause = 50'000;

int wait_status(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw_errno("waitpid");
  return status;
}

// This process is the subreaper: the children of a killed process become its own. Without
// CONFIG_PROC_CHILDREN, or in a /proc of other processes, the kernel lists none.
void kill_descendants(pid_t helper) {
  ::kill(helper, SIGKILL);
  wait_status(helper);
  for (std::vector<pid_t> pids; !(pids = own_children()).empty();) {
    for (pid_t pid : pids) ::kill(pid, SIGKILL);
    wait_status(-1);
  }
}

// Exits with the helper's wait status.
[[noreturn]] void exit_as(int status) {
  if (WIFSIGNALED(status)) {
    ::signal(WTERMSIG(status), SIG_DFL);
    ::raise(WTERMSIG(status));
  }
  ::_exit(WEXITSTATUS(status));
}

[[noreturn]] void exit_with_error(const std::exception& failure, const Fd& report) {
  const std::string text = failure.what();
  [[maybe_unused]] ssize_t n = ::write(report.get(), text.data(), text.size());
  ::_exit(127);
}

[[noreturn]] void guard_helper(const Command& command, pid_t parent, const Fd& report) {
  sigset_t wanted, none;
  sigemptyset(&none);
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  ::signal(SIGCHLD, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &wanted, nullptr);  // start_command() unblocks all in the helper
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);          // no second core dump when the helper crashes
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  std::optional<StartedProgram> program;
  try {
    program = start_command(command);
  } catch (const std::exception& failure) {
    exit_with_error(failure, report);
  }
  const pid_t helper = program->pid();
  // `delete` takes a process with a bundle as working directory for a live shim (shim/processes.h).
  [[maybe_unused]] const int ignored = ::chdir("/");
  while (::getppid() == parent) {
    int status = 0;
    if (::waitpid(helper, &status, WNOHANG) == helper) {
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      try {
        program->check();
      } catch (const std::exception& failure) {
        exit_with_error(failure, report);
      }
      exit_as(status);
    }
    siginfo_t signal;
    ::sigwaitinfo(&wanted, &signal);
  }
  kill_descendants(helper);
  ::_exit(1);
}

// Nothing where there is no such directory. Throws Error.
Fd open_parent(const std::string& rootfs) {
  Fd parent = try_open(directory_of(rootfs), O_RDONLY | O_DIRECTORY);
  if (!parent && errno != ENOENT) throw_errno("open " + directory_of(rootfs));
  return parent;
}

}  // namespace

int run_mount_helper(const Command& command) {
  const Pipe report = make_pipe(O_NONBLOCK);
  const pid_t self = ::getpid();
  // not fork(), as in process/run.cc
  const pid_t guard = check(::_Fork(), "fork");
  if (guard == 0) guard_helper(command, self, report.write);
  const int status = wait_status(guard);
  char text[1024];
  const ssize_t size = ::read(report.read.get(), text, sizeof text);
  if (size > 0) throw Error::unknown(std::string(text, static_cast<std::size_t>(size)));
  return status;
}

Fd lock_mounting(const std::string& rootfs) {
  Fd parent = open_parent(rootfs);
  // A file system without locks: wait_for_mounting() returns at once.
  if (parent) ::flock(parent.get(), LOCK_SH);
  return parent;
}

void wait_for_mounting(const std::string& rootfs, std::chrono::milliseconds limit) {
  const Fd parent = open_parent(rootfs);
  if (!parent) return;
  const useconds_t timeout = static_cast<useconds_t>(limit.count()) * 1000;
  useconds_t waited = 0;
  for (useconds_t pause = 1000; ::flock(parent.get(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK && errno != EINTR) return;
    if (waited >= timeout) throw Error::unknown("timed out waiting for a mount on " + rootfs);
    ::usleep(pause);
    waited += pause;
    pause = std::min(2 * pause, kMaxPause);
  }
}

}  // namespace thinshim
