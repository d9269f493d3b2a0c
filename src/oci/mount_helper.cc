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

constexpr useconds_t kPatience = 2'500'000;
constexpr useconds_t kLongestPause = 50'000;

int wait_status(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw_errno("wait for a mount helper");
  return status;
}

// Children of those who are killed become ours, so that none is left in the end.
void kill_descendants(pid_t helper) {
  try {
    for (std::vector<pid_t> pids; !(pids = own_children()).empty();) {
      for (pid_t pid : pids) ::kill(pid, SIGKILL);
      wait_status(-1);
    }
  } catch (const Error&) {  // the kernel does not list children
    ::kill(helper, SIGKILL);
    wait_status(helper);
  }
}

// Ends as the helper does.
[[noreturn]] void end_with(int status) {
  if (WIFSIGNALED(status)) {
    ::signal(WTERMSIG(status), SIG_DFL);
    ::raise(WTERMSIG(status));
  }
  ::_exit(WEXITSTATUS(status));
}

// Tells whoever waits why there is no helper.
[[noreturn]] void end_without_helper(const std::exception& failure, const Fd& report) {
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
  ::sigprocmask(SIG_SETMASK, &wanted, nullptr);  // the helper blocks nothing (process/command.cc)
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);          // one core of a helper that crashes is enough
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  std::optional<StartedProgram> program;
  try {
    program = start_command(command);
  } catch (const std::exception& failure) {
    end_without_helper(failure, report);
  }
  const pid_t helper = program->pid();
  // In a bundle, `delete` would take us for a server that lives (shim/processes.h).
  [[maybe_unused]] const int ignored = ::chdir("/");
  while (::getppid() == parent) {
    int status = 0;
    if (::waitpid(helper, &status, WNOHANG) == helper) {
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      try {
        program->check();
      } catch (const std::exception& failure) {
        end_without_helper(failure, report);
      }
      end_with(status);
    }
    siginfo_t news;
    ::sigwaitinfo(&wanted, &news);
  }
  kill_descendants(helper);
  ::_exit(1);
}

Fd open_place(const std::string& rootfs) {
  return try_open(directory_of(rootfs), O_RDONLY | O_DIRECTORY);
}

}  // namespace

int run_mount_helper(const Command& command) {
  const Pipe report = make_pipe(O_NONBLOCK);
  const pid_t self = ::getpid();
  // Not fork(), as in process/run.cc.
  const pid_t guard = check(::_Fork(), "start a mount helper");
  if (guard == 0) guard_helper(command, self, report.write);
  const int status = wait_status(guard);
  char text[1024];
  const ssize_t size = ::read(report.read.get(), text, sizeof text);
  if (size > 0) throw Error::unknown(std::string(text, static_cast<std::size_t>(size)));
  return status;
}

Fd begin_mounting(const std::string& rootfs) {
  Fd place = open_place(rootfs);
  if (!place && errno != ENOENT) throw_errno("open the directory of " + rootfs);
  // Shared: several may mount, and who waits for them wants to be alone. Without locks, as some
  // file systems are, nobody is waited for.
  if (place) ::flock(place.get(), LOCK_SH);
  return place;
}

bool wait_for_mounting(const std::string& rootfs) {
  const Fd place = open_place(rootfs);
  if (!place) return errno == ENOENT;
  useconds_t waited = 0;
  for (useconds_t pause = 1000; ::flock(place.get(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK && errno != EINTR) return true;
    if (waited >= kPatience) return false;
    ::usleep(pause);
    waited += pause;
    pause = std::min(2 * pause, kLongestPause);
  }
  return true;
}

}  // namespace thinshim
