// SPDX-License-Identifier: Apache-2.0
#include "shim/processes.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/text.h"
#include "oci/bundle.h"
#include "process/launch.h"
#include "shim/address.h"
#include "shim/version.h"

namespace thinshim {
namespace {

// The path of the process's working directory (cwd) or root, which is not opened: it may be on a
// file system that hangs. Empty if the process is gone, or cannot be a shim's: EACCES, or a path
// longer than PATH_MAX. Throws Error for other failures.
std::string directory_of_process(pid_t pid, const std::string& link = "cwd") {
  try {
    return read_link("/proc/" + std::to_string(pid) + "/" + link).value_or("");
  } catch (const Error& error) {
    if (error.errnum() != EACCES && error.errnum() != ENAMETOOLONG) throw;
    return "";
  }
}

// A removed directory has only its name left.
bool leads_to(const std::string& name, const std::string& directory) {
  return !name.empty() && (name == real_path(directory) || name == directory + " (deleted)");
}

// Whether the process is the runtime that creates the container of this bundle, or will become the
// container's init. Before init has entered the container, its working directory is the bundle
// (runc), or its command line is the runtime's (crun). While createContainer hooks run (in runc,
// and in the hooks themselves), the working directory is the container's root, but the root
// directory is still the host's. Throws Error.
bool is_creating(pid_t pid, const std::string& bundle, const std::string& root) {
  if (pid == ::getpid()) return false;  // `delete` itself works in the bundle and names it
  const std::string directory = directory_of_process(pid);
  if (leads_to(directory, bundle)) return true;
  if (directory_of_process(pid, "root") == "/" && leads_to(directory, root)) return true;
  // Last, because it waits for the lock of the process's memory map.
  const std::string words = '\0' + read_proc_file(pid, "cmdline").value_or("");
  return words.find('\0' + bundle + '\0') != std::string::npos;
}

// Whether the process will be gone soon, because it or its parent is being killed. The parent is
// examined first: when it exits, the child gets another parent, and is killed itself
// (PR_SET_PDEATHSIG). A process that cannot be examined counts as dying.
bool is_dying(pid_t pid) try {
  for (pid_t one : {parent_of(pid), pid}) {
    const ProcessState state = process_state(one);
    if (state == ProcessState::exiting || state == ProcessState::unknown) return true;
  }
  return false;
} catch (const Error&) {
  return true;
}

enum class Owner { shim, another, unknown };

// Whose process it is, by the address in the bundle that it works in: unknown if there is none, for
// example because the bundle was removed. Throws Error.
Owner owner_of(pid_t pid, const std::string& address, const std::string& bundles) {
  const std::string prefix = join_path(bundles, "");
  const std::string name = directory_of_process(pid);
  std::string_view directory = name;
  if (!directory.starts_with(prefix)) return Owner::another;
  if (address.empty()) return Owner::shim;
  directory.remove_prefix(prefix.size());
  const Bundle bundle(prefix + std::string(cut(directory, '/')));
  const std::optional<std::string> found = bundle.read_address();
  if (!found) return Owner::unknown;
  return *found == address ? Owner::shim : Owner::another;
}

// The first process other than this one that works, or may work, in the shim's bundles and for
// which `matches` is true; 0 if there is none.
template <class Predicate>
pid_t find_process(const std::string& address, const std::string& bundles, Predicate matches) {
  for (const std::string& name : entries_of("/proc")) {
    const auto pid = static_cast<pid_t>(parse_number(name).value_or(0));
    if (pid <= 0 || pid == ::getpid()) continue;
    const Owner owner = owner_of(pid, address, bundles);
    if (owner != Owner::another && matches(pid, owner)) return pid;
  }
  return 0;
}

// Whether the process is a thinshim server, by its command line, and is not being killed. A child
// of a killed server that hangs in execve(2) has the same command line, but another name (comm).
// Throws Error if that cannot be found out.
bool is_living_server(pid_t pid) {
  const ProcessState state = process_state(pid);
  if (state == ProcessState::unknown)
    throw Error::unknown("cannot examine process " + std::to_string(pid));
  if (state != ProcessState::alive ||
      read_proc_file(pid, "comm") == kLaunchName + std::string("\n"))
    return false;
  return version_in(read_proc_file(pid, "cmdline").value_or("")).has_value();
}

// Whether the process holds a socket that listens on this path. Throws Error.
bool listens_at(pid_t pid, const std::string& path) {
  const std::vector<std::string> listeners = listeners_at(path, pid);
  if (listeners.empty()) return false;
  const std::string files = "/proc/" + std::to_string(pid) + "/fd";
  for (const std::string& name : entries_of(files)) {
    const std::string file = read_link(join_path(files, name)).value_or("");
    for (const std::string& inode : listeners)
      if (file == "socket:[" + inode + "]") return true;
  }
  return false;
}

// The real path of the directory of all bundles; empty if it does not exist. Throws Error.
std::string directory_of_bundles(const ShimBundles& bundles) {
  return real_path(directory_of(bundles.bundle)).value_or("");
}

// The first process of the shim that is dying, or may be; 0 if there is none. Throws Error.
pid_t find_dying(const ShimBundles& bundles) {
  const std::string directory = directory_of_bundles(bundles);
  if (directory.empty()) return 0;
  return find_process(bundles.address, directory, [](pid_t pid, Owner) { return is_dying(pid); });
}

}  // namespace

void wait_for_dying_processes(const ShimBundles& bundles,
                              std::chrono::steady_clock::time_point end) {
  for (;; ::usleep(kPollInterval)) {
    std::optional<Error> failure;
    try {
      const pid_t pid = find_dying(bundles);
      if (pid == 0) return;
      failure = Error::failed_precondition("process " + std::to_string(pid) +
                                           " of the dead shim does not exit");
    } catch (const Error& error) {
      failure = error;
    }
    if (std::chrono::steady_clock::now() >= end) throw *failure;
  }
}

bool has_living_server(const ShimBundles& bundles) {
  const std::string directory = directory_of_bundles(bundles);
  const std::string path = path_of_address(bundles.address).value_or("");
  const auto matches = [&](pid_t pid, Owner owner) {
    return is_living_server(pid) && (owner == Owner::shim || listens_at(pid, path));
  };
  return !directory.empty() && find_process(bundles.address, directory, matches) != 0;
}

// A pidfd keeps the signal from reaching another process to which the kernel has given the pid
// meanwhile. Before Linux 5.3, and under a seccomp filter that refuses pidfds, kill(2) is used.
void kill_if_creating(const std::string& bundle, const std::string& root, pid_t pid) {
  // Without a pidfd (no such system call, no descriptor, no memory) by pid.
  const auto is_gone = [] { return errno == ESRCH || errno == EINVAL; };
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process && is_gone()) return;
  try {
    if (!is_creating(pid, bundle, root)) return;
    if (!process ||
        (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) < 0 && !is_gone()))
      ::kill(pid, SIGKILL);
  } catch (const Error&) {  // it cannot be examined
  }
}

}  // namespace thinshim
