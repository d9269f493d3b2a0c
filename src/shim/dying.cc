// SPDX-License-Identifier: Apache-2.0
#include "shim/dying.h"

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

// The directory that it works in (cwd), or its root, by name: what that leads to may be on a file
// system that hangs. Empty where the process is gone, or is none of a shim's: one that we may not
// look into, or that works further down than a path may be long. Throws Error where it cannot be
// told.
std::string directory_of_process(pid_t pid, const std::string& link = "cwd") {
  try {
    return read_link("/proc/" + std::to_string(pid) + "/" + link).value_or("");
  } catch (const Error& error) {
    if (error.errnum() != EACCES && error.errnum() != ENAMETOOLONG) throw;
    return "";
  }
}

// A directory that was removed is known by its name only.
bool leads_to(const std::string& name, const std::string& directory) {
  return !name.empty() && (name == real_path(directory) || name == directory + " (deleted)");
}

// Whether it makes the container of this bundle, or is what will become its first process: as long
// as that has not entered the container, its working directory is the bundle's (runc), or its
// command line the runtime's (crun). While the hooks createContainer run, it is the container's
// root, but not yet its own root (runc, and the hooks themselves). Throws Error.
bool works_for(pid_t pid, const std::string& bundle, const std::string& root) {
  if (pid == ::getpid()) return false;  // both are our own's too
  const std::string directory = directory_of_process(pid);
  if (leads_to(directory, bundle)) return true;
  if (directory_of_process(pid, "root") == "/" && leads_to(directory, root)) return true;
  // Last, because it waits for whoever holds the lock of the process's memory.
  const std::string words = '\0' + read_proc_file(pid, "cmdline").value_or("");
  return words.find('\0' + bundle + '\0') != std::string::npos;
}

// Whether the process will be gone soon, of itself or because its parent will. The parent is asked
// for first: with its end the child is somebody else's, and is sent its own. Who cannot be asked is
// waited for.
bool is_dying(pid_t pid) try {
  for (pid_t one : {parent_of(pid), pid}) {
    const ProcessState state = process_state(one);
    if (state == ProcessState::exiting || state == ProcessState::unknown) return true;
  }
  return false;
} catch (const Error&) {
  return true;
}

// Whose a directory is.
enum class Owner { shim, another, unknown };

// By the address in the bundle that it works in. Where that has none, because it was removed for
// one, it may be the shim's or another's. Throws Error.
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

// The first process but ourselves that works in the bundles of the shim, or may do so, and is as
// wanted; 0 where there is none.
template <class Wanted>
pid_t find_process(const std::string& address, const std::string& bundles, Wanted is_wanted) {
  for (const std::string& name : entries_of("/proc")) {
    const auto pid = static_cast<pid_t>(parse_number(name).value_or(0));
    if (pid <= 0 || pid == ::getpid()) continue;
    const Owner owner = owner_of(pid, address, bundles);
    if (owner != Owner::another && is_wanted(pid, owner)) return pid;
  }
  return 0;
}

// What shows its version as a server does, and is not about to end. A logger that a server was
// starting when it was killed shows it too, for as long as its file system hangs, and is none.
// Throws Error where that cannot be told.
bool is_living_server(pid_t pid) {
  const ProcessState state = process_state(pid);
  if (state == ProcessState::unknown)
    throw Error::unknown("process " + std::to_string(pid) + " cannot be looked at");
  if (state != ProcessState::alive ||
      read_proc_file(pid, "comm") == kLaunchName + std::string("\n"))
    return false;
  return version_in(read_proc_file(pid, "cmdline").value_or("")).has_value();
}

// Whether it holds a socket that listens at this path. Throws Error where that cannot be told.
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

// Empty where there are none. Throws Error where that cannot be told.
std::string bundles_of(const ShimPlace& place) {
  return real_path(directory_of(place.bundle)).value_or("");
}

// The first process of the shim that is dying, or may be; 0 where there is none. Throws Error where
// that cannot be told.
pid_t find_dying(const ShimPlace& place) {
  const std::string bundles = bundles_of(place);
  if (bundles.empty()) return 0;
  return find_process(place.address, bundles, [](pid_t pid, Owner) { return is_dying(pid); });
}

}  // namespace

void wait_for_the_dying(const ShimPlace& place, std::chrono::steady_clock::time_point end) {
  for (;; ::usleep(kBetweenLooks)) {
    std::optional<Error> failure;
    try {
      const pid_t pid = find_dying(place);
      if (pid == 0) return;
      failure = Error::failed_precondition("process " + std::to_string(pid) + " does not end");
    } catch (const Error& error) {
      failure = error;
    }
    if (std::chrono::steady_clock::now() >= end) throw *failure;
  }
}

bool has_living_server(const ShimPlace& place) {
  const std::string bundles = bundles_of(place);
  const std::string path = path_of_address(place.address).value_or("");
  const auto is_wanted = [&](pid_t pid, Owner owner) {
    return is_living_server(pid) && (owner == Owner::shim || listens_at(pid, path));
  };
  return !bundles.empty() && find_process(place.address, bundles, is_wanted) != 0;
}

// Holds the process while it looks, since its number may be another's by then. Before Linux 5.3,
// and under a seccomp filter that refuses pidfds, the moment between look and signal is left to
// chance.
void end_what_works_for(const std::string& bundle, const std::string& root, pid_t pid) {
  const auto has_no_pidfds = [] { return errno == ENOSYS || errno == EPERM; };
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process && !has_no_pidfds()) return;
  try {
    if (!works_for(pid, bundle, root)) return;
    if (!process || (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) < 0 &&
                     has_no_pidfds()))
      ::kill(pid, SIGKILL);
  } catch (const Error&) {  // as much as a call that fails
  }
}

}  // namespace thinshim
