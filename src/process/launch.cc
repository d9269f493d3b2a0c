// SPDX-License-Identifier: Apache-2.0
#include "process/launch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>

// Sanitizers would keep their records of the child's stack frames, because it does not return from
// execve(2).
#define IN_CHILD __attribute__((no_sanitize("address", "undefined")))

namespace thinshim {
namespace {

// A system call; returns its result or -errno.
#if defined(__x86_64__)
IN_CHILD inline long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
IN_CHILD inline long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long which __asm__("x8") = number;
  register long first __asm__("x0") = a;
  register long second __asm__("x1") = b;
  register long third __asm__("x2") = c;
  register long fourth __asm__("x3") = d;
  register long fifth __asm__("x4") = e;
  __asm__ volatile("svc 0"
                   : "+r"(first)
                   : "r"(which), "r"(second), "r"(third), "r"(fourth), "r"(fifth)
                   : "memory");
  return first;
}
#else
#error "no system call instruction for this architecture"
#endif

IN_CHILD inline long word(const volatile void* pointer) { return reinterpret_cast<long>(pointer); }

// The kernel's struct sigaction, which differs from libc's.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
  std::uint64_t mask;
};

// Whether a search may find this file: a regular file with an executable bit.
IN_CHILD bool is_program(const char* path) {
  struct stat status;
  return call(SYS_newfstatat, AT_FDCWD, word(path), word(&status), 0) == 0 &&
         S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
}

// Returns the errno of the failure. A search passes over a program that may not be run, as
// execvp(3) does, and fails with the first of them where it finds no other: a security module may
// have refused it.
IN_CHILD int execute(Launch& launch) {
  for (const char* const* path = launch.paths; *path; ++path) {
    if (launch.is_search && !is_program(*path)) continue;
    const long result = call(SYS_execve, word(*path), word(launch.argv), word(launch.envp));
    const bool goes_on = launch.is_search && result == -EACCES;
    if (!goes_on || !launch.failed_path) launch.failed_path = *path;
    if (!goes_on) return static_cast<int>(-result);
  }
  launch.is_missing = launch.failed_path == nullptr;
  return launch.is_missing ? ENOENT : EACCES;
}

IN_CHILD int become_program(Launch& launch) {
  call(SYS_prctl, PR_SET_NAME, word(kLaunchName));
  const KernelAction standard{};
  const std::uint64_t none = 0;
  long result = 0;
  call(SYS_rt_sigaction, SIGPIPE, word(&standard), 0,
       sizeof none);  // the only one the shim ignores
  call(SYS_rt_sigprocmask, SIG_SETMASK, word(&none), 0, sizeof none);
  if (launch.death_signal) {
    result = call(SYS_prctl, PR_SET_PDEATHSIG, launch.death_signal);
    if (result < 0) return static_cast<int>(-result);
    if (call(SYS_getppid, 0) != launch.parent) return ECHILD;  // the parent died before prctl(2)
  }
  if (launch.own_group && (result = call(SYS_setpgid, 0, 0)) < 0) return static_cast<int>(-result);
  if (launch.default_umask) call(SYS_umask, 022);
  // First to numbers above all targets, so that dup3(2) does not overwrite a source.
  for (int i = 0; i < launch.count; ++i) {
    result = call(SYS_fcntl, launch.sources[i], F_DUPFD_CLOEXEC, launch.count);
    if (result < 0) return static_cast<int>(-result);
    launch.parked[i] = static_cast<int>(result);
  }
  for (int i = 0; i < launch.count; ++i) {
    result = call(SYS_dup3, launch.parked[i], i, 0);
    if (result < 0) return static_cast<int>(-result);
  }
  // Before any call that may hang, so that a hung child keeps no pipe or socket of the shim open.
  // Without close_range(2): up to the parked ones, the highest of all.
  if (launch.highest < 0) call(SYS_close_range, launch.count, static_cast<long>(~0u), 0);
  const int last = launch.highest < 0 ? -1 : launch.highest + launch.count;
  for (int fd = launch.count; fd <= last; ++fd) call(SYS_close, fd);
  // After the parked descriptors were closed, which may be above the limit.
  if (launch.open_files) {
    result = call(SYS_prlimit64, 0, RLIMIT_NOFILE, word(launch.open_files));
    if (result < 0) return static_cast<int>(-result);
  }
  if (launch.directory && (result = call(SYS_chdir, word(launch.directory))) < 0)
    return static_cast<int>(-result);
  return execute(launch);
}

IN_CHILD int run(void* data) {
  Launch& launch = *static_cast<Launch*>(data);
  launch.failure = become_program(launch);
  return 127;
}

}  // namespace

pid_t begin_launch(Launch& launch, char* stack) {
  launch.failure = 0;
  launch.failed_path = nullptr;
  launch.is_missing = false;
  launch.in_use = 1;
  static_assert(sizeof launch.in_use == sizeof(pid_t) &&
                decltype(launch.in_use)::is_always_lock_free);
  constexpr int kFlags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD;
  const pid_t pid = ::clone(run, stack + kLaunchStack, kFlags, &launch, nullptr, nullptr,
                            reinterpret_cast<pid_t*>(&launch.in_use));
  if (pid < 0) launch.in_use = 0;
  return pid;
}

}  // namespace thinshim
