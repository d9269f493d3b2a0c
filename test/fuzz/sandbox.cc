// SPDX-License-Identifier: Apache-2.0
#include "fuzz/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

namespace thinshim::fuzz {
namespace {

constexpr int kNobody = 65534;

int outside = -1;  // directories
int inside = -1;
bool entered = false;
pid_t self = 0;
bool* child_crashed = nullptr;  // in memory shared with children

// Calls the kernel directly, which changes this thread only: libFuzzer's others watch it. The group
// changes while the user is root.
void enter() {
  check(::fchdir(inside), "enter the sandbox");
  check(::syscall(SYS_setresgid, -1, kNobody, -1), "change the group");
  check(::syscall(SYS_setresuid, -1, kNobody, -1), "change the user");
  entered = true;
}

void leave() {
  entered = false;
  check(::syscall(SYS_setresuid, -1, 0, -1), "come back as root");
  check(::syscall(SYS_setresgid, -1, 0, -1), "come back as root's group");
  check(::fchdir(outside), "leave the sandbox");
}

// The signal handlers of libFuzzer and AddressSanitizer.
constexpr int kSignals[] = {SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
struct sigaction theirs[NSIG];

// Returns if the alarm handler only checks the time.
void call_theirs(int number, siginfo_t* info, void* context) {
  if (::getpid() != self) *child_crashed = true;
  const bool was_inside = entered;
  if (was_inside) leave();
  theirs[number].sa_sigaction(number, info, context);
  if (was_inside) enter();
}

// Whether those handlers are set yet.
bool take_signals() {
  for (int number : kSignals) {
    check(::sigaction(number, nullptr, &theirs[number]), "ask for a signal's handler");
    if (!(theirs[number].sa_flags & SA_SIGINFO)) continue;  // not a handler of theirs
    struct sigaction ours = theirs[number];
    ours.sa_sigaction = call_theirs;
    check(::sigaction(number, &ours, nullptr), "take a signal");
  }
  return theirs[SIGABRT].sa_flags & SA_SIGINFO;
}

}  // namespace

void make_sandbox() {
  ::signal(SIGPIPE, SIG_IGN);  // as in the shim
  ::setenv("PATH", "/nonexistent", 1);
  check(::setgroups(0, nullptr), "leave all groups");
  self = ::getpid();
  child_crashed = static_cast<bool*>(
      ::mmap(nullptr, sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  expect(child_crashed != MAP_FAILED, "memory can be shared with children");
  Fd context(check(::fsopen("tmpfs", FSOPEN_CLOEXEC), "make a file system (this needs root)"));
  check(::fsconfig(context.get(), FSCONFIG_SET_STRING, "size", "64m", 0), "bound a file system");
  check(::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), "make a file system");
  outside = open_file(".", O_PATH | O_DIRECTORY).release();
  inside = check(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
                 "mount a file system");
  check(::fchmodat(inside, ".", 0777, 0), "open the sandbox");
}

InSandbox::InSandbox() {
  static bool taken = false;
  if (!taken) taken = take_signals();
  enter();
}
InSandbox::~InSandbox() {
  expect(!*child_crashed, "what is done in a fork ends well");
  leave();
}

}  // namespace thinshim::fuzz

extern "C" {
// AddressSanitizer and UndefinedBehaviorSanitizer call it before they report.
void __asan_on_error();
void __ubsan_on_report();
void __asan_on_error() {
  if (thinshim::fuzz::child_crashed && ::getpid() != thinshim::fuzz::self)
    *thinshim::fuzz::child_crashed = true;
  if (thinshim::fuzz::entered) thinshim::fuzz::leave();
}
void __ubsan_on_report() { __asan_on_error(); }
}
