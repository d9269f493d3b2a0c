// SPDX-License-Identifier: Apache-2.0
#include "shim/remove.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/text.h"
#include "cgroup/cgroup.h"
#include "oci/bundle.h"
#include "oci/rootfs.h"
#include "oci/runtime.h"
#include "oci/spec.h"
#include "process/reaper.h"
#include "runc_options.pb.h"
#include "shim/address.h"
#include "shim/config.h"
#include "shim/version.h"
#include "task.pb.h"

namespace thinshim {
namespace {

using Clock = std::chrono::steady_clock;

// containerd ends us after 5 s, whatever is done by then: all waiting together is over before. The
// last second is for what a dead runtime left in its groups, whoever was waited for until then;
// what does not go by itself in a moment is ended.
constexpr std::chrono::milliseconds kPatience{3000};
constexpr std::chrono::milliseconds kPatienceWithGroups{1000};
constexpr std::chrono::milliseconds kMoment{50};
constexpr useconds_t kBetweenLooks = 5000;  // microseconds

// What was asked for, and what all steps of it share.
struct Deletion {
  const Arguments& arguments;
  std::string address = {};  // of the shim; empty where unknown
  Clock::time_point end = Clock::now() + kPatience;
};

// stdout is for the answer; containerd logs what comes on stderr.
void warn(const std::string& what, const std::string& reason) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string line =
      log::format(log::Level::warning, what, {{"error", reason}}, now.tv_sec, now.tv_nsec);
  std::fputs(line.c_str(), stderr);
}

// One step of the clean-up; the next one is taken in any case.
void attempt(const std::string& what, const std::function<void()>& step) {
  try {
    step();
  } catch (const std::exception& error) {
    warn(what, error.what());
  }
}

bool exists(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0;
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  while (dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

Runtime::Settings runtime_of(const Bundle& bundle, const Arguments& arguments) {
  Runtime::Settings settings;
  std::optional<RuncOptions> options;
  attempt("read the container's options", [&] { options = bundle.read_options(); });
  // This one is not gone on without: another runtime removes the state, and leaves the processes.
  std::optional<std::string> binary = bundle.read_runtime();
  Config config;
  attempt("read the configuration", [&] { config = load_config("", arguments.config_file); });
  settings.binary = binary && !binary->empty() ? *binary : config.task.runtime.binary;
  std::string root =
      options && !options->root().empty() ? options->root() : config.task.runtime.root;
  settings.root = join_path(root, arguments.containerd_namespace);
  settings.systemd_cgroup =
      config.task.runtime.systemd_cgroup || (options && options->systemd_cgroup());
  return settings;
}

void remove_runtime_state(const Runtime::Settings& settings, const std::string& id) {
  Loop loop;
  Reaper reaper(loop);
  loop.run(Runtime(reaper, settings).remove(id, true));
}

// Empty where there is no such directory.
std::string real_path(const std::string& directory) {
  char real[PATH_MAX];
  return ::realpath(directory.c_str(), real) ? real : "";
}

// By name: what it leads to may be on a file system that hangs. Empty where the process is gone.
std::string directory_of_process(pid_t pid) {
  return read_link("/proc/" + std::to_string(pid) + "/cwd");
}

bool leads_to(const std::string& name, const std::string& directory) {
  return !name.empty() && name == real_path(directory);
}

// Whether it makes the container of this bundle, or is what will become its first process: as long
// as that has not entered the container, its working directory is the bundle's (runc), or its
// command line the runtime's (crun). While the hooks createContainer run, it is the container's
// root, but not yet its own root (runc, and the hooks themselves).
bool works_for(pid_t pid, const std::string& bundle, const std::string& root) {
  if (pid == ::getpid()) return false;  // both are our own's too
  const std::string directory = directory_of_process(pid);
  if (leads_to(directory, bundle)) return true;
  if (read_link("/proc/" + std::to_string(pid) + "/root") == "/" && leads_to(directory, root))
    return true;
  // Last, because it waits for whoever holds the lock of the process's memory.
  const std::string words = '\0' + read_proc_file(pid, "cmdline");
  return words.find('\0' + bundle + '\0') != std::string::npos;
}

// Holds the process while it looks, since its number may be another's by then.
void end_what_works_for(const std::string& bundle, const std::string& root, pid_t pid) {
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (process && works_for(pid, bundle, root))
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

// A runtime that died with the shim before it wrote everything down leaves the container's groups.
// Its first process is then on its way out of them, or waits for ever (crun's, now and then; any
// in a hook). Others in them are no business of ours: nothing says that a group is one container's
// alone.
void remove_groups(const Bundle& bundle, const Deletion& deletion) {
  if (!exists(bundle.config())) return;
  const ContainerSpec spec = read_container_spec(bundle.config());
  const std::string& path = spec.cgroups_path;
  const std::string root =
      spec.root_path.starts_with('/') ? spec.root_path : join_path(bundle.path(), spec.root_path);
  const Clock::time_point begin = Clock::now();
  const Clock::time_point end = std::min(deletion.end, begin + kPatienceWithGroups);
  for (; !remove_empty_groups(path); ::usleep(kBetweenLooks)) {
    const Clock::time_point now = Clock::now();
    if (now >= std::min(end, begin + kMoment))
      for (pid_t pid : processes_in_groups(path)) end_what_works_for(bundle.path(), root, pid);
    if (now >= end) throw Error::failed_precondition("processes are left in " + path);
  }
}

// Whether the process will be gone soon, of itself or because its parent will. The parent is asked
// for first: with its end the child is somebody else's, and is sent its own.
bool is_dying(pid_t pid) {
  return fate_of(parent_of(pid)) == Fate::ending || fate_of(pid) == Fate::ending;
}

// Whether this is, or is in, a bundle of the shim at `address`, as far as it can be told: bundles
// may have been removed.
bool is_bundle_of(const std::string& address, std::string_view directory,
                  const std::string& bundles) {
  const std::string prefix = join_path(bundles, "");
  if (!directory.starts_with(prefix)) return false;
  directory.remove_prefix(prefix.size());
  const Bundle bundle(prefix + std::string(cut(directory, '/')));
  return address.empty() || bundle.read_address().value_or(address) == address;
}

// A dying process of the shim at `address`, or that itself; 0 where there is none. They work in the
// first bundle of the shim's group, as it does itself, or in that of a container.
pid_t find_dying(const std::string& address, const std::string& bundles) {
  for (const std::string& name : entries_of("/proc")) {
    const auto pid = static_cast<pid_t>(parse_number(name).value_or(0));
    if (pid > 0 && pid != ::getpid() && is_bundle_of(address, directory_of_process(pid), bundles) &&
        is_dying(pid))
      return pid;
  }
  return 0;
}

// A shim that is killed closes its socket first, which calls us, and only at its very end has the
// kernel kill the runtime and the helpers that it has started: what they still do would be done
// behind our back.
void wait_for_the_dying(const Bundle& bundle, const Deletion& deletion) {
  const std::string bundles = real_path(directory_of(bundle.path()));
  if (bundles.empty()) return;
  const Clock::time_point end = deletion.end - kPatienceWithGroups;
  for (; pid_t pid = find_dying(deletion.address, bundles); ::usleep(kBetweenLooks))
    if (Clock::now() >= end)
      throw Error::failed_precondition("process " + std::to_string(pid) + " does not end");
}

void clean(const Bundle& bundle, const std::string& id, const Deletion& deletion) {
  const Runtime::Settings settings = runtime_of(bundle, deletion.arguments);
  const std::string state = join_path(settings.root, id);
  // Not after every deletion: that leaves the pid and no state.
  if (exists(state) || (exists(bundle.config()) && !exists(bundle.init_pid())))
    attempt("failed to wait for the dead shim's end",
            [&] { wait_for_the_dying(bundle, deletion); });
  const bool has_state = exists(state);
  if (has_state)
    attempt("failed to remove runc container", [&] { remove_runtime_state(settings, id); });
  if (has_state || !exists(bundle.init_pid()))
    attempt("failed to remove the container's cgroups", [&] { remove_groups(bundle, deletion); });
  attempt("failed to cleanup rootfs mount", [&] { unmount_all(bundle.rootfs()); });
  if (!exists(bundle.config())) return;  // no bundle: its pid files are somebody else's
  for (const std::string& name : entries_of(bundle.path())) {
    const bool exec_pid = name.ends_with(".pid") && name.size() > 4 && name != "init.pid";
    const bool console = name.starts_with("console-") && name.ends_with(".sock");
    if (exec_pid || console || name == ".address") ::unlink(join_path(bundle.path(), name).c_str());
  }
}

enum class ShimSocket { in_use, gone };

ShimSocket remove_dead_socket(const Deletion& deletion) {
  std::optional<std::string> path = path_of_address(deletion.address);
  if (!path || !exists(directory_of(*path))) return ShimSocket::in_use;
  if (exists(*path) && !is_socket(*path))  // whatever the bundle's file was made to say
    throw Error::invalid_argument(*path + " is no socket");
  const auto patience = deletion.end - kPatienceWithGroups - Clock::now();
  SocketLock lock(*path, std::chrono::duration_cast<std::chrono::milliseconds>(patience));
  if (!exists(*path)) return ShimSocket::gone;
  if (probe_socket(*path).alive) return ShimSocket::in_use;
  if (::unlink(path->c_str()) < 0) warn("remove the shim's socket", errno_text(errno));
  return ShimSocket::gone;
}

// Containers that had their shim in common with one whose shim is gone.
void clean_group(const Bundle& bundle, const Deletion& deletion) {
  std::string bundles = directory_of(bundle.path());
  for (const std::string& id : entries_of(bundles)) {
    Bundle other(join_path(bundles, id));
    if (other.path() == bundle.path()) continue;
    attempt("failed to clean up another container of the group", [&] {
      if (other.read_address() == deletion.address) clean(other, id, deletion);
    });
  }
}

std::string bundle_path(const Arguments& arguments) {
  if (!arguments.bundle.empty()) {
    std::string path = arguments.bundle;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
  }
  return join_path(directory_of(working_directory()), arguments.id);
}

}  // namespace

std::string remove_container(const Arguments& arguments) {
  Deletion deletion{arguments};
  Bundle bundle(bundle_path(arguments));
  std::string& address = deletion.address;
  attempt("read the shim's address", [&] { address = bundle.read_address().value_or(""); });
  // containerd may have taken the bundle away already. A group's socket has another name.
  if (address.empty() && !arguments.address.empty())
    address = address_of_path(
        socket_path("", arguments.address, arguments.containerd_namespace, arguments.id));
  ShimSocket socket = ShimSocket::in_use;
  attempt("remove the shim's socket", [&] { socket = remove_dead_socket(deletion); });
  clean(bundle, arguments.id, deletion);
  // Only such callers leave the rest of a group to the shim's death.
  if (socket == ShimSocket::gone && recorded_version(bundle.path()) == kBootstrapVersion)
    clean_group(bundle, deletion);

  containerd::task::v3::DeleteResponse response;
  attempt("failed to read init pid file", [&] {
    response.set_pid(static_cast<std::uint32_t>(read_pid_file(bundle.init_pid()).value_or(0)));
  });
  response.set_exit_status(128 + SIGKILL);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  response.mutable_exited_at()->set_seconds(now.tv_sec);
  response.mutable_exited_at()->set_nanos(static_cast<std::int32_t>(now.tv_nsec));
  return response.SerializeAsString();
}

}  // namespace thinshim
