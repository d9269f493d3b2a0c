// SPDX-License-Identifier: Apache-2.0
#include "support/dying_process.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace thinshim::test {
namespace {

void require(bool done, const char* what) {
  if (!done) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

DyingProcess::DyingProcess(const std::string& working_directory) {
  pid_ = ::fork();
  require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    if (::chdir(working_directory.c_str()) < 0 || ::ptrace(PTRACE_TRACEME, 0, 0, 0) < 0) ::_exit(1);
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  require(::waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status), "wait for the process");
  require(::ptrace(PTRACE_SETOPTIONS, pid_, 0, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) == 0,
          "trace the process");
  ::kill(pid_, SIGKILL);
  require(::waitpid(pid_, &status, 0) == pid_ && WIFSTOPPED(status), "wait for its end");
}

void DyingProcess::end() {
  ::ptrace(PTRACE_CONT, pid_, 0, 0);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
}

void DyingProcess::finish() {
  ::ptrace(PTRACE_CONT, pid_, 0, 0);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

}  // namespace thinshim::test
