// SPDX-License-Identifier: Apache-2.0
#include "reliability/fault_calls.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <map>

namespace thinshim::test {
namespace {

// How a call's name is extended: not at all, by the kind of file of its first argument, or by the
// command in its first or second argument.
enum class Detail { none, file, first, second };

struct SystemCall {
  long number;
  const char* name;
  Detail detail = Detail::none;
};

#define CALL(name, ...) {SYS_##name, #name, __VA_ARGS__}
constexpr SystemCall kCalls[] = {
    CALL(accept4),
    CALL(access),
    CALL(bind),
    CALL(brk),
    CALL(chdir),
    CALL(chmod),
    CALL(clock_gettime),
    CALL(clock_nanosleep),
    CALL(clone),
    CALL(close),
    CALL(close_range),
    CALL(connect),
    CALL(dup2),
    CALL(dup3),
    CALL(epoll_create1),
    CALL(epoll_ctl, Detail::second),
    CALL(epoll_pwait),
    CALL(epoll_wait),
    CALL(eventfd2),
    CALL(execve),
    CALL(exit),
    CALL(exit_group),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(fchdir),
    CALL(fchown),
    CALL(fcntl, Detail::second),
    CALL(flock),
    CALL(fork),
    CALL(fsmount),
    CALL(fsopen),
    CALL(fstat),
    CALL(futex),
    CALL(getcwd),
    CALL(getdents64),
    CALL(getegid),
    CALL(geteuid),
    CALL(getgid),
    CALL(getpid),
    CALL(getppid),
    CALL(getrandom),
    CALL(getrlimit),
    CALL(getsockname),
    CALL(getsockopt),
    CALL(gettid),
    CALL(getuid),
    CALL(inotify_add_watch),
    CALL(inotify_init1),
    CALL(ioctl, Detail::second),
    CALL(kill),
    CALL(listen),
    CALL(lseek),
    CALL(lstat),
    CALL(madvise),
    CALL(memfd_create),
    CALL(mkdir),
    CALL(mkdirat),
    CALL(mmap),
    CALL(mount),
    CALL(mount_setattr),
    CALL(move_mount),
    CALL(mprotect),
    CALL(mremap),
    CALL(munmap),
    CALL(newfstatat),
    CALL(open_tree),
    CALL(openat),
    CALL(pidfd_open),
    CALL(pidfd_send_signal),
    CALL(pipe2),
    CALL(poll),
    CALL(ppoll),
    CALL(prctl, Detail::first),
    CALL(pread64, Detail::file),
    CALL(prlimit64),
    CALL(read, Detail::file),
    CALL(readlink),
    CALL(readlinkat),
    CALL(recvfrom),
    CALL(recvmsg),
    CALL(rename),
    CALL(renameat),
    CALL(rmdir),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sendmsg),
    CALL(sendto),
    CALL(set_robust_list),
    CALL(setpgid),
    CALL(setsockopt),
    CALL(shutdown),
    CALL(signalfd4),
    CALL(socket),
    CALL(splice),
    CALL(stat),
    CALL(statfs),
    CALL(statx),
    CALL(symlink),
    CALL(timerfd_create),
    CALL(timerfd_settime),
    CALL(umask),
    CALL(umount2),
    CALL(uname),
    CALL(unlink),
    CALL(wait4),
    CALL(waitid),
    CALL(write, Detail::file),
    CALL(writev, Detail::file),
};
#undef CALL

#define NAMED(number) {number, #number}
const std::map<std::uint64_t, const char*> kFcntl = {
    NAMED(F_DUPFD_CLOEXEC), NAMED(F_GETFD),      NAMED(F_SETFD),      NAMED(F_GETFL),
    NAMED(F_SETFL),         NAMED(F_GETPIPE_SZ), NAMED(F_SETPIPE_SZ), NAMED(F_OFD_SETLK)};
const std::map<std::uint64_t, const char*> kEpoll = {NAMED(EPOLL_CTL_ADD), NAMED(EPOLL_CTL_DEL),
                                                     NAMED(EPOLL_CTL_MOD)};
const std::map<std::uint64_t, const char*> kPrctl = {
    NAMED(PR_SET_PDEATHSIG),       NAMED(PR_SET_NAME),        NAMED(PR_SET_MM),
    NAMED(PR_SET_CHILD_SUBREAPER), NAMED(PR_SET_THP_DISABLE), NAMED(PR_GET_THP_DISABLE)};
const std::map<std::uint64_t, const char*> kIoctl = {
    NAMED(TCGETS),   NAMED(TCSETS),     NAMED(FIONREAD),   NAMED(FIONBIO),
    NAMED(TIOCGPTN), NAMED(TIOCSPTLCK), NAMED(TIOCSWINSZ), NAMED(TIOCGPTPEER)};
#undef NAMED

std::string in_words(const std::map<std::uint64_t, const char*>& names, std::uint64_t command) {
  auto known = names.find(command & 0xffffffff);
  return known == names.end() ? std::to_string(command) : known->second;
}

std::string kind_of_file(pid_t process, std::uint64_t fd) {
  const std::string link = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(fd);
  char target[PATH_MAX] = {};
  struct stat status{};
  if (::readlink(link.c_str(), target, sizeof target - 1) < 0) return "none";
  const std::string name = target;
  const std::string anonymous = "anon_inode:[";
  if (name.rfind(anonymous, 0) == 0)
    return name.substr(anonymous.size(), name.size() - anonymous.size() - 1);
  if (name.rfind("/memfd:", 0) == 0) return "memory";
  if (::stat(link.c_str(), &status) < 0) return "gone";
  if (S_ISFIFO(status.st_mode)) return "pipe";
  if (S_ISSOCK(status.st_mode)) return "socket";
  if (S_ISCHR(status.st_mode)) return ::strncmp(target, "/dev/pt", 7) == 0 ? "terminal" : "device";
  return "file";
}

const std::string kAddOfLibuv = "epoll_ctl(EPOLL_CTL_ADD,libuv)";
// When libuv is about to wait, it adds a watch with descriptor and events; the watch that it adds
// before, to see whether there is room, has neither.
bool is_of_libuv(pid_t process, const std::uint64_t* arguments) {
  epoll_event event{};
  iovec here{&event, sizeof event};
  iovec there{reinterpret_cast<void*>(arguments[3]), sizeof event};
  return ::process_vm_readv(process, &here, 1, &there, 1, 0) == sizeof event && event.events != 0 &&
         event.data.fd == static_cast<int>(arguments[2]);
}

// Errors of a kernel that lacks memory, descriptors, space, or a working disk.
const std::map<std::string, std::vector<int>> kFail = {
    {"accept4", {EMFILE, ENOMEM}},
    {"access", {EACCES}},
    {"bind", {ENOSPC}},
    {"brk", {ENOMEM}},
    {"chdir", {EACCES}},
    {"chmod", {EPERM}},
    {"clone", {EAGAIN, ENOMEM}},
    {"connect", {ECONNREFUSED, ENOMEM, EACCES, ENFILE}},
    {"dup3", {EBUSY}},
    {"epoll_create1", {EMFILE}},
    {"epoll_ctl(EPOLL_CTL_ADD)", {ENOSPC}},
    {kAddOfLibuv, {ENOSPC}},
    {"eventfd2", {EMFILE}},
    {"execve", {ENOMEM, EACCES}},
    {"faccessat", {EACCES}},
    {"faccessat2", {EACCES}},
    {"fchdir", {EACCES}},
    {"fchown", {EPERM}},
    {"fcntl(F_DUPFD_CLOEXEC)", {EMFILE}},
    {"fcntl(F_OFD_SETLK)", {ENOLCK}},
    {"fcntl(F_SETPIPE_SZ)", {EPERM}},
    {"flock", {ENOLCK}},
    {"fork", {EAGAIN, ENOMEM}},
    {"fstat", {EIO}},
    {"getcwd", {ENOENT}},
    {"getdents64", {EIO}},
    {"inotify_add_watch", {ENOSPC}},
    {"inotify_init1", {EMFILE}},
    {"ioctl(TIOCGPTPEER)", {EMFILE, EIO}},
    {"ioctl(TIOCSPTLCK)", {EIO}},
    {"ioctl(TIOCGPTN)", {EIO}},
    {"ioctl(TIOCSWINSZ)", {EIO}},
    {"ioctl(TCSETS)", {EIO}},
    {"kill", {EPERM}},
    {"listen", {EACCES}},
    {"lstat", {EIO}},
    {"madvise", {EINVAL}},
    {"memfd_create", {EMFILE, ENOMEM}},
    {"mkdir", {ENOSPC}},
    {"mkdirat", {ENOSPC}},
    {"mmap", {ENOMEM}},
    {"mount", {ENOMEM, EPERM}},
    {"mprotect", {ENOMEM}},
    {"mremap", {ENOMEM}},
    {"munmap", {ENOMEM}},
    {"newfstatat", {EIO}},
    {"openat", {EMFILE, ENOMEM}},
    {"pidfd_open", {EMFILE}},
    {"pidfd_send_signal", {EPERM}},
    {"pipe2", {EMFILE}},
    {"pread64(file)", {EIO}},
    {"read(file)", {EIO}},
    {"readlink", {ENOMEM}},
    {"readlinkat", {ENOMEM}},
    {"recvfrom", {ECONNRESET}},
    {"recvmsg", {ENOMEM}},
    {"renameat", {ENOSPC}},
    {"rename", {ENOSPC}},
    {"rmdir", {EBUSY}},
    {"sendmsg", {ENOBUFS}},
    {"sendto", {ENOBUFS, EPIPE}},
    {"setpgid", {EPERM}},
    {"signalfd4", {EMFILE}},
    {"socket", {EMFILE, ENOBUFS}},
    {"splice", {ENOMEM, EINVAL}},
    {"stat", {EIO}},
    {"statfs", {EIO}},
    {"statx", {EIO}},
    {"symlink", {ENOSPC}},
    {"umount2", {EBUSY, EPERM}},
    {"unlink", {EIO}},
    {"write(device)", {EIO}},
    {"write(file)", {ENOSPC, EIO}},
    {"write(memory)", {ENOMEM}},
    {"write(pipe)", {ENOMEM}},
    {"write(terminal)", {EIO}},
};

const std::map<std::string, std::string> kDoNotFail = {
    {"clock_gettime", "never fails for these clocks"},
    {"clock_nanosleep", "only ends early, and then what was waited for is looked at earlier"},
    {"close", "closes whatever it says"},
    {"close_range", "fails for lack of memory only where it unshares (Linux 5.9)"},
    {"dup3", "as dup2"},
    {"dup2", "only for descriptors that are not open, or beyond the limit"},
    {"epoll_ctl(EPOLL_CTL_DEL)", "only for what is not watched"},
    {"epoll_ctl(EPOLL_CTL_MOD)", "only for what is not watched"},
    {"epoll_pwait", "only for arguments that make no sense"},
    {"epoll_wait", "as epoll_pwait"},
    {"exit", "does not return"},
    {"exit_group", "does not return"},
    {"fcntl(F_GETFD)", "only where the descriptor is not open"},
    {"fcntl(F_GETFL)", "as F_GETFD"},
    {"fcntl(F_GETPIPE_SZ)", "only for what is no pipe"},
    {"fcntl(F_SETFD)", "as F_GETFD"},
    {"fcntl(F_SETFL)", "for O_NONBLOCK as F_GETFD"},
    {"futex", "there is one thread"},
    {"getegid", "never fails"},
    {"geteuid", "never fails"},
    {"getpid", "never fails"},
    {"getppid", "never fails"},
    {"gettid", "never fails"},
    {"getsockname", "not of a unix socket that is open"},
    {"getsockopt", "not of a unix socket that is open"},
    {"getuid", "never fails"},
    {"getgid", "never fails"},
    {"getrandom", "not once the kernel has begun"},
    {"ioctl(FIONBIO)", "as F_SETFL"},
    {"ioctl(FIONREAD)", "not for pipes and terminals"},
    {"ioctl(TCGETS)", "says only that it is no terminal"},
    {"lseek", "not in a file in memory"},
    {"poll", "only for arguments that make no sense: so few descriptors need no memory"},
    {"ppoll", "as poll"},
    {"prctl(PR_GET_THP_DISABLE)", "never fails"},
    {"prctl(PR_SET_CHILD_SUBREAPER)", "never fails"},
    {"prctl(PR_SET_MM)", "the command line is a courtesy"},
    {"prctl(PR_SET_NAME)", "never fails"},
    {"prctl(PR_SET_PDEATHSIG)", "only for a signal that there is not"},
    {"prctl(PR_SET_THP_DISABLE)", "only where it is killed meanwhile"},
    {"prlimit64", "not for reading one's own, nor for any limit up to the hard one"},
    {"read(eventfd)", "only says that there is nothing"},
    {"read(inotify)", "only says that there is nothing"},
    {"read(pipe)", "only says that there is nothing"},
    {"read(signalfd)", "only says that there is nothing"},
    {"read(device)", "/dev/null"},
    {"read(terminal)", "only says that this is its end"},
    {"read(none)", "is closed, and says so"},
    {"rt_sigaction", "only for a signal that there is not"},
    {"rt_sigprocmask", "only for arguments that make no sense"},
    {"rt_sigreturn", "has no result"},
    {"set_robust_list", "only for arguments that make no sense"},
    {"shutdown", "says only that there is no peer any more"},
    {"umask", "never fails"},
    {"uname", "never fails"},
    {"wait4", "only where there is no such child, which would be a lie"},
    {"waitid", "only where there is no such child, which would be a lie"},
    {"write(eventfd)", "only says that it is full"},
};

}  // namespace

std::string name_of_call(long number, const std::uint64_t* arguments, pid_t process) {
  for (const SystemCall& call : kCalls) {
    if (call.number != number) continue;
    const std::string name = call.name;
    if (call.detail == Detail::none) return name;
    if (call.detail == Detail::file) return name + "(" + kind_of_file(process, arguments[0]) + ")";
    const std::uint64_t command = arguments[call.detail == Detail::second];
    const auto& names = number == SYS_fcntl       ? kFcntl
                        : number == SYS_prctl     ? kPrctl
                        : number == SYS_epoll_ctl ? kEpoll
                                                  : kIoctl;
    if (number == SYS_epoll_ctl && command == EPOLL_CTL_ADD && is_of_libuv(process, arguments))
      return kAddOfLibuv;
    return name + "(" + in_words(names, command) + ")";
  }
  return "call-" + std::to_string(number);
}

long number_of_call(const std::string& name) {
  for (const SystemCall& call : kCalls)
    if (name.substr(0, name.find('(')) == call.name) return call.number;
  return -1;
}

std::optional<Failures> failures_of_call(const std::string& name) {
  if (auto found = kFail.find(name); found != kFail.end()) {
    Failures failures{found->second, ""};
    if (name == kAddOfLibuv)
      failures.places = 2;  // for later ones Watch has already added the descriptor
    return failures;
  }
  if (auto found = kDoNotFail.find(name); found != kDoNotFail.end())
    return Failures{{}, found->second};
  return std::nullopt;
}

bool libuv_aborts_of(const std::string& call, long nth) {
  return call == kAddOfLibuv || ((call == "pipe2" || call == "write(pipe)") && nth == 1);
}

}  // namespace thinshim::test
