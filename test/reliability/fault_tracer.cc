// SPDX-License-Identifier: Apache-2.0
// Runs a shim's `start` or `delete`, counts the system calls of all its processes, and makes one of
// them fail: as `strace -f -e inject=`, but counted for each role of a process, so that each
// position is one call of one process. See fault_injection.h.
//
//   fault_tracer REPORT PROGRAM [ARGUMENTS...]
//   fault_tracer REPORT ROLE CALL NTH ERRNO PROGRAM [ARGUMENTS...]
//
// The traced program is this process itself, so that its caller does not see the tracer, which is a
// daemon and exits after the last traced process; REPORT is complete then. Runtimes are detached
// when they call execve(2).
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "reliability/fault_calls.h"

namespace {

using thinshim::test::name_of_call;

struct Fault {
  std::string role;
  std::string call;
  long nth = 0;
  int errnum = 0;
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  ::_exit(125);
}

// Roles by parent and purpose: a child that will call execve(2) shares its parent's memory.
std::string role_of_child(const std::string& parent, bool shares_memory) {
  if (parent == "start") return "server";
  const std::string prefix = parent.rfind("delete", 0) == 0 ? "delete-" : "";
  return prefix + (shares_memory ? "launch" : "helper");
}

class Tracer {
 public:
  Tracer(std::string report, std::optional<Fault> fault)
      : report_(std::move(report)), fault_(std::move(fault)) {}

  // The process must block until this has returned.
  void seize(pid_t process, const std::string& role);
  // Traces until the last process has exited.
  void follow();

 private:
  struct Tracee {
    std::string role;
    bool counting = false;
    int errnum = 0;                  // of the current call, if it is to fail
    std::uint64_t wanted_break = 0;  // of a brk that is to fail
  };

  void on_stop(pid_t process, int status);
  void on_end(pid_t process, int status);
  void on_fork(pid_t process);
  bool on_exec(pid_t process);  // whether it is still traced
  void on_call(pid_t process);
  void enter(pid_t process, Tracee& tracee, long number, const std::uint64_t* arguments);
  void go_on(pid_t process, int signal = 0) { ::ptrace(PTRACE_SYSCALL, process, nullptr, signal); }
  void write_report() const;

  std::string report_;
  std::optional<Fault> fault_;
  std::map<pid_t, Tracee> tracees_;
  std::set<pid_t> early_;  // stopped before their parent's stop reported them
  std::map<std::pair<std::string, std::string>, long> counts_;
  std::string injected_;
  std::string crashed_;  // the role of a process that a signal from no process has killed
  dev_t device_ = 0;     // the shim's binary
  ino_t inode_ = 0;
};

void Tracer::seize(pid_t process, const std::string& role) {
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  if (::ptrace(PTRACE_SEIZE, process, nullptr, kOptions) < 0) fail("PTRACE_SEIZE");
  if (::ptrace(PTRACE_INTERRUPT, process, nullptr, nullptr) < 0) fail("PTRACE_INTERRUPT");
  int status = 0;
  if (::waitpid(process, &status, __WALL) != process) fail("waitpid");
  tracees_[process].role = role;
  go_on(process);
}

void Tracer::follow() {
  for (;;) {
    int status = 0;
    const pid_t process = ::waitpid(-1, &status, __WALL);
    if (process < 0 && errno == EINTR) continue;
    if (process < 0) break;
    if (WIFSTOPPED(status))
      on_stop(process, status);
    else
      on_end(process, status);
  }
  write_report();
}

void Tracer::on_end(pid_t process, int status) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal != 0 && signal != SIGKILL)
    crashed_ = tracees_[process].role + ":" + ::sigabbrev_np(signal);
  tracees_.erase(process);
}

void Tracer::on_stop(pid_t process, int status) {
  if (tracees_.count(process) == 0) {
    early_.insert(process);
    return;
  }
  const int event = status >> 16;
  const int signal = WSTOPSIG(status);
  if (signal == (SIGTRAP | 0x80)) {
    on_call(process);
    return go_on(process);
  }
  switch (event) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      on_fork(process);
      return go_on(process);
    case PTRACE_EVENT_EXEC:
      if (on_exec(process)) return go_on(process);
      ::ptrace(PTRACE_DETACH, process, nullptr, nullptr);
      tracees_.erase(process);
      return;
    case PTRACE_EVENT_STOP:
      return go_on(process);
    default:
      return go_on(process, signal);
  }
}

void Tracer::on_fork(pid_t process) {
  unsigned long child = 0;
  ::ptrace(PTRACE_GETEVENTMSG, process, nullptr, &child);
  const Tracee& parent = tracees_[process];
  const auto pid = static_cast<pid_t>(child);
  const long flags =
      ::ptrace(PTRACE_PEEKUSER, process, offsetof(user, regs.rdi), nullptr);  // clone(2)
  tracees_[pid] = {role_of_child(parent.role, (flags & CLONE_VM) != 0), parent.counting, 0, 0};
  if (early_.erase(pid) != 0) go_on(pid);
}

bool Tracer::on_exec(pid_t process) {
  struct stat program{};
  if (::stat(("/proc/" + std::to_string(process) + "/exe").c_str(), &program) < 0) return false;
  Tracee& tracee = tracees_[process];
  tracee.counting = false;
  if (inode_ == 0) {
    device_ = program.st_dev;
    inode_ = program.st_ino;
    return true;
  }
  tracee.role = "log-file";
  return program.st_dev == device_ && program.st_ino == inode_;
}

void Tracer::on_call(pid_t process) {
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, process, sizeof info, &info) <= 0) return;
  Tracee& tracee = tracees_[process];
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
    enter(process, tracee, static_cast<long>(info.entry.nr), info.entry.args);
  if (info.op != PTRACE_SYSCALL_INFO_EXIT) return;
  if (tracee.wanted_break != 0)  // brk(2) reports the old break
    ::ptrace(PTRACE_POKEUSER, process, offsetof(user, regs.rdi),
             std::exchange(tracee.wanted_break, 0));
  if (tracee.errnum == 0) return;
  const long result = -std::exchange(tracee.errnum, 0);
  ::ptrace(PTRACE_POKEUSER, process, offsetof(user, regs.rax), result);
}

// A path among the arguments, for the report.
std::string words_of(pid_t process, const std::uint64_t* arguments) {
  std::string words;
  for (int i = 0; i < 2; ++i) {
    char text[200] = {};
    iovec here{text, sizeof text - 1};
    iovec there{reinterpret_cast<void*>(arguments[i]), sizeof text - 1};
    if (::process_vm_readv(process, &here, 1, &there, 1, 0) <= 0) continue;
    const std::string word = std::string(text).substr(0, std::strcspn(text, "\n"));
    if (word.size() > 1 && word[0] == '/' &&
        std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isprint(c) != 0; }))
      words += " " + word;
  }
  return words;
}

void Tracer::enter(pid_t process, Tracee& tracee, long number, const std::uint64_t* arguments) {
  if (!tracee.counting) {  // libc's calls before main() are not the shim's
    tracee.counting = number == SYS_rt_sigaction && arguments[0] == SIGPIPE;
    return;
  }
  const std::string call = name_of_call(number, arguments, process);
  const long nth = ++counts_[{tracee.role, call}];
  if (!fault_ || tracee.role != fault_->role || call != fault_->call || nth != fault_->nth) return;
  injected_ = tracee.role + " " + call + " " + std::to_string(nth) + words_of(process, arguments);
  if (number == SYS_brk) {  // it fails by changing nothing
    tracee.wanted_break = arguments[0];
    ::ptrace(PTRACE_POKEUSER, process, offsetof(user, regs.rdi), 0);
    return;
  }
  tracee.errnum = fault_->errnum;
  ::ptrace(PTRACE_POKEUSER, process, offsetof(user, regs.orig_rax), -1L);
}

// Writes the whole report or none.
void Tracer::write_report() const {
  const std::string unfinished = report_ + ".new";
  std::FILE* file = std::fopen(unfinished.c_str(), "we");
  if (file == nullptr) fail("open the report");
  for (const auto& [key, count] : counts_)
    std::fprintf(file, "%s %s %ld\n", key.first.c_str(), key.second.c_str(), count);
  if (!injected_.empty()) std::fprintf(file, "injected %s\n", injected_.c_str());
  if (!crashed_.empty()) std::fprintf(file, "crashed %s\n", crashed_.c_str());
  std::fclose(file);
  ::rename(unfinished.c_str(), report_.c_str());
}

// Runs in the tracer; the traced process waits for the other end of the pipe.
[[noreturn]] void trace(pid_t process, const std::string& role, Tracer tracer, int go) {
  ::setsid();
  if (::chdir("/") < 0) fail("chdir");
  tracer.seize(process, role);
  [[maybe_unused]] const ssize_t sent = ::write(go, "", 1);
  ::close(go);
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  ::closefrom(3);
  tracer.follow();
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const bool injects = argc > 6 && argv[2][0] != '/';
  char** const program = argv + (injects ? 6 : 2);
  if (argc < 3) return 2;
  std::optional<Fault> fault;
  if (injects) fault = Fault{argv[2], argv[3], std::atol(argv[4]), std::atoi(argv[5])};
  const pid_t self = ::getpid();
  const std::string role = std::strcmp(argv[argc - 1], "delete") == 0 ? "delete" : "start";
  int go[2];
  if (::pipe2(go, O_CLOEXEC) < 0) fail("pipe");
  const pid_t between = ::fork();
  if (between < 0) fail("fork");
  if (between == 0) {
    if (::fork() == 0) trace(self, role, Tracer(argv[1], std::move(fault)), go[1]);
    ::_exit(0);
  }
  ::waitpid(between, nullptr, 0);
  ::close(go[1]);
  char byte;
  if (::read(go[0], &byte, 1) != 1) return 125;
  ::execv(program[0], program);
  fail("exec");
}
