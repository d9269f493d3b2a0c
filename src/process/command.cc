// SPDX-License-Identifier: Apache-2.0
#include "process/command.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/error.h"
#include "base/fd.h"
#include "process/open_files.h"

namespace thinshim {
namespace {

// All that the child needs, prepared beforehand: between vfork and exec it may only make system
// calls.
struct Launch {
  const char* path;
  char* const* argv;
  char* const* envp;
  const char* directory;
  const int* sources;
  int* parked;
  int count;
  int death_signal;
  pid_t parent;
  bool own_group;
  bool usual_umask;
  const rlimit* open_files;
};

// Runs in the child, on the parent's memory. Returns the errno of what failed.
int become_program(const Launch& launch) {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &standard, nullptr);  // the only one that the shim changes
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);  // the shim's own choice, not the container's
  if (launch.death_signal && prctl(PR_SET_PDEATHSIG, launch.death_signal) < 0) return errno;
  if (launch.death_signal && getppid() != launch.parent) return ECHILD;  // it was dead before
  if (launch.own_group && setpgid(0, 0) < 0) return errno;
  if (launch.usual_umask) umask(022);
  if (launch.directory && chdir(launch.directory) < 0) return errno;
  // Out of the way of the numbers that they will get, so that no source is overwritten before its
  // turn.
  for (int i = 0; i < launch.count; ++i) {
    launch.parked[i] = fcntl(launch.sources[i], F_DUPFD_CLOEXEC, launch.count);
    if (launch.parked[i] < 0) return errno;
  }
  for (int i = 0; i < launch.count; ++i)
    if (dup2(launch.parked[i], i) < 0) return errno;
  close_from(launch.count);
  // Now that the descriptors parked above it are closed.
  if (launch.open_files && setrlimit(RLIMIT_NOFILE, launch.open_files) < 0) return errno;
  execve(launch.path, launch.argv, launch.envp);
  return errno;
}

[[gnu::noinline]] pid_t vfork_and_exec(const Launch& launch, volatile int& failure) {
  pid_t pid = vfork();
  if (pid == 0) {
    failure = become_program(launch);
    _exit(127);
  }
  if (pid < 0) failure = errno;
  return pid;
}

// Not faccessat(3) with AT_EACCESS: that is faccessat2(2), and what a seccomp filter refuses which
// does not know that call is no answer about the file.
bool is_program(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& string : strings) result.push_back(const_cast<char*>(string.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

std::vector<std::string> inherited_environment(const std::vector<std::string>& without) {
  std::vector<std::string> result;
  for (char** entry = environ; entry && *entry; ++entry) {
    std::string text = *entry;
    std::string name = text.substr(0, text.find('='));
    if (std::find(without.begin(), without.end(), name) == without.end())
      result.push_back(std::move(text));
  }
  return result;
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string directories = path ? path : "";
  for (std::size_t begin = 0; begin <= directories.size() && !name.empty();) {
    std::size_t end = std::min(directories.find(':', begin), directories.size());
    std::string directory = directories.substr(begin, end - begin);
    std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (is_program(candidate)) return candidate;
    begin = end + 1;
  }
  throw Error(Code::unknown, "exec: \"" + name + "\": executable file not found in $PATH", ENOENT);
}

pid_t start_command(const Command& command) {
  std::string path = find_program(command.program);
  std::vector<std::string> arguments = command.arguments;
  arguments.insert(arguments.begin(), command.name.empty() ? command.program : command.name);
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> envp = pointers(command.environment);

  std::vector<int> sources = command.fds;
  if (sources.size() < 3) sources.resize(3, -1);
  Fd null;
  for (int& source : sources) {
    if (source >= 0) continue;
    if (!null) null = open_file("/dev/null", O_RDWR);
    source = null.get();
  }
  std::vector<int> parked(sources.size());
  Launch launch{path.c_str(),
                argv.data(),
                envp.data(),
                command.directory.empty() ? nullptr : command.directory.c_str(),
                sources.data(),
                parked.data(),
                static_cast<int>(sources.size()),
                command.death_signal,
                ::getpid(),
                command.own_group,
                command.usual_umask,
                open_files_limit_of_programs()};

  // The child shares our memory until it is the program, so what it undoes there is undone here
  // too.
  const bool huge_pages_off = ::prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1;
  volatile int failure = 0;
  pid_t pid = vfork_and_exec(launch, failure);
  if (huge_pages_off) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (pid < 0) throw_errno("fork/exec " + path, failure);
  if (failure != 0) {
    siginfo_t ignored;
    waitid(P_PID, static_cast<id_t>(pid), &ignored,
           WEXITED);  // it is gone already; nobody else knows it
    throw_errno("fork/exec " + path, failure);
  }
  return pid;
}

}  // namespace thinshim
