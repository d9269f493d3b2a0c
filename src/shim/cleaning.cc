// SPDX-License-Identifier: Apache-2.0
#include "shim/cleaning.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cgroup/cgroup.h"
#include "oci/bundle.h"
#include "oci/rootfs.h"
#include "oci/runtime.h"
#include "oci/spec.h"
#include "shim/processes.h"

namespace thinshim {
namespace {

using Clock = std::chrono::steady_clock;
using Knows = Runtime::Knows;

// After this time, the runtime's processes that are left in the container's cgroups are killed.
constexpr std::chrono::milliseconds kKillAfter{50};

// Whether its bundle belongs to a newer container: the address differs, or is not written yet.
bool is_bundle_reused(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id || !may_exist(container.bundle)) return false;
  return Bundle(container.bundle).read_address() != deletion.address;
}

// The runtime's temporary files go to the bundle that `delete` is for: those of the group's other
// containers may be removed at any moment. -bundle may name a directory that is not a bundle.
Runtime runtime_of(Reaper& reaper, const GroupMember& container, const Deletion& deletion) {
  Runtime::Settings settings = container.runtime;
  if (may_exist(deletion.bundle.config())) settings.bundle = deletion.bundle.path();
  return {reaper, std::move(settings)};
}

Task<bool> is_known(Runtime runtime, std::string id) {
  const Knows known = runtime.knows(id);
  if (known != Knows::unknown) co_return known == Knows::yes;
  const std::optional<Runtime::State> state = co_await runtime.state(id);
  co_return state.has_value();
}

// Whether the runtime has really removed the container after `delete` has succeeded. A runtime
// whose `state` fails is believed.
Task<bool> is_removed(Runtime runtime, std::string id) {
  try {
    const bool known = co_await is_known(std::move(runtime), std::move(id));
    co_return !known;
  } catch (const Error&) {
    co_return true;
  }
}

// Throws Error if the runtime may still have the container. The runtime's `delete` may fail because
// it does not know the container, or because a concurrent `delete` for the same pod removes it: so
// a failure counts only if the container still exists after kRetryTime.
Task<> remove_from(Loop& loop, Runtime runtime, std::string id) {
  constexpr Duration kRetryTime = std::chrono::milliseconds(500);
  constexpr Duration kPause = std::chrono::milliseconds(25);
  std::optional<Error> failure;
  try {
    co_await runtime.remove(id, true);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) {
    const bool removed = co_await is_removed(runtime, id);
    if (removed) co_return;
    failure = Error::failed_precondition("container " + id + " still exists in the runtime");
  }
  for (const Clock::time_point end = Clock::now() + kRetryTime;;) {
    bool is_left = true;
    try {
      is_left = co_await is_known(runtime, id);
    } catch (const Error& error) {
      warn("failed to get the state of the runc container", error.what());
    }
    if (!is_left) co_return;
    if (Clock::now() >= end) throw *failure;
    co_await sleep(loop, kPause);
  }
}

Task<> attempt_to_remove_from(Loop& loop, Runtime runtime, GroupMember container,
                              Deletion& deletion) {
  try {
    if (is_id_reused(container, deletion)) co_return;
    co_await remove_from(loop, std::move(runtime), container.id);
  } catch (const Error& error) {
    warn("failed to remove runc container", error.what());
    deletion.complete = false;
  }
}

// Whether the cgroup is this container's alone, by its name: ID (containerd, Docker), or PREFIX-ID.
bool is_own_group(const std::string& path, const std::string& id) {
  const std::string_view name = base_name(path);
  return name == id || name.ends_with("-" + id);
}

// This process may have been put there itself.
bool has_living_process(const std::string& path) {
  return std::ranges::any_of(processes_in_groups(path), [](pid_t pid) {
    const ProcessState state = process_state(pid);
    return pid != ::getpid() && state != ProcessState::exited && state != ProcessState::exiting;
  });
}

// Removes the container's cgroups, which a runtime leaves if it was killed with the shim before it
// had written its state. The runtime's child in them is exiting then, or blocked for ever (crun's
// sometimes; any runtime's in a hook), and is killed. Other processes in them are left alone: the
// cgroup may not belong to this container only.
void remove_groups(const Leftover& leftover, Deletion& deletion) {
  const Bundle bundle(leftover.container.bundle);
  std::string path = leftover.container.cgroups_path;
  std::string root = leftover.container.root_path;
  if (!leftover.recorded) {
    if (!may_exist(bundle.config())) return;
    const ContainerSpec spec = read_container_spec(bundle.config());
    path = spec.cgroups_path;
    root =
        spec.root_path.starts_with('/') ? spec.root_path : join_path(bundle.path(), spec.root_path);
  }
  const Clock::time_point begin = Clock::now();
  const Clock::time_point end = std::min(deletion.end, begin + kCgroupTimeout);
  for (; !remove_empty_groups(path); ::usleep(kPollInterval)) {
    const Clock::time_point now = Clock::now();
    if (now >= std::min(end, begin + kKillAfter))
      for (pid_t pid : processes_in_groups(path)) kill_if_creating(bundle.path(), root, pid);
    if (now < end) continue;
    if (is_own_group(path, leftover.container.id) && has_living_process(path))
      deletion.complete = false;
    throw Error::failed_precondition("processes remain in cgroup " + path);
  }
}

// Checks that init is gone, even if the runtime, or a wrapper of it, has reported success. A
// process to which the kernel gave init's pid meanwhile is in another cgroup. answer_for() warns of
// a pid file that cannot be read.
void require_init_gone(const Bundle& bundle) {
  std::optional<int> init;
  try {
    init = read_pid_file(bundle.init_pid());
  } catch (const Error&) {
  }
  if (!init || !may_exist("/proc/" + std::to_string(*init))) return;
  if (is_in_group(*init, read_container_spec(bundle.config()).cgroups_path))
    throw Error::failed_precondition("init process " + std::to_string(*init) + " is still running");
}

void remove_files(const Bundle& bundle) {
  if (!may_exist(bundle.config())) return;  // not a bundle
  for (const std::string& name : entries_of(bundle.path())) {
    const bool exec_pid = name.ends_with(".pid") && name.size() > 4 && name != "init.pid";
    const bool console = name.starts_with("console-") && name.ends_with(".sock");
    if (exec_pid || console || Bundle::is_temporary(name))
      ::unlink(join_path(bundle.path(), name).c_str());
  }
}

Knows knows(const Leftover& leftover) {
  return Runtime::knows(leftover.container.runtime, leftover.container.id);
}

bool has_init_pid(const Bundle& bundle) { return ::access(bundle.init_pid().c_str(), F_OK) == 0; }

// Whether the container may be created only in part. A deleted one has init.pid and no record.
bool may_be_half_created(const Leftover& leftover) {
  const Bundle bundle(leftover.container.bundle);
  return leftover.recorded || (may_exist(bundle.config()) && !has_init_pid(bundle));
}

}  // namespace

void warn(const std::string& what, const std::string& reason) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string line =
      log::format(log::Level::warning, what, {{"error", reason}}, now.tv_sec, now.tv_nsec);
  std::fputs(line.c_str(), stderr);
}

bool attempt(const std::string& what, const std::function<void()>& step) {
  try {
    step();
    return true;
  } catch (const std::exception& error) {
    warn(what, error.what());
    return false;
  }
}

// A newer container's shim writes its address to the bundle before anything else: while there is
// none, the runtime's container of this id is still the old one.
bool is_id_reused(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id) return false;
  const Bundle bundle(container.bundle);
  return bundle.read_address().value_or(deletion.address) != deletion.address;
}

void Cleaning::begin() {
  wait_for_dying_shim();
  for (const Leftover& one : all_) remove_from_runtime(one);
  if (!removing_.empty()) deletion_.executor().loop.run(wait_removed(deletion_.end));
}

void Cleaning::finish() {
  if (!removing_.empty()) deletion_.executor().loop.run(removing_.wait_empty());
  for (const Leftover& one : all_) remove_rest(one);
}

void Cleaning::wait_for_dying_shim() {
  const auto one = std::ranges::find_if(all_, [](const Leftover& leftover) {
    return knows(leftover) != Knows::no || may_be_half_created(leftover);
  });
  if (one == all_.end()) return;
  attempt("failed to wait for the dead shim's processes", [&] {
    wait_for_dying_processes({deletion_.address, one->container.bundle},
                             deletion_.end - kCgroupTimeout);
  });
}

void Cleaning::remove_from_runtime(const Leftover& one) {
  const GroupMember& container = one.container;
  if (knows(one) != Knows::no) {
    deletion_.complete &= attempt("failed to remove runc container", [&] {
      Executor& executor = deletion_.executor();
      removing_.spawn(
          attempt_to_remove_from(executor.loop, runtime_of(executor.reaper, container, deletion_),
                                 container, deletion_),
          "remove " + container.id);
      known_.insert(container.id);
    });
  } else if (!one.settings_known) {
    warn("failed to find runc container",
         "cannot read the runtime and root of container " + container.id);
    deletion_.complete = false;
  }
}

Task<> Cleaning::wait_removed(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<Duration>(end - Clock::now());
  co_await within(deletion_.executor().loop, std::max(Duration(0), left), removing_.wait_empty());
}

void Cleaning::remove_rest(const Leftover& one) {
  const Bundle bundle(one.container.bundle);
  bool is_ours = false;
  deletion_.complete &= attempt("failed to read the bundle's address",
                                [&] { is_ours = !is_bundle_reused(one.container, deletion_); });
  if (!is_ours) return;
  if (known_.count(one.container.id) != 0 || !has_init_pid(bundle))
    attempt("failed to remove the container's cgroups", [&] { remove_groups(one, deletion_); });
  deletion_.complete &= attempt("failed to kill the container", [&] { require_init_gone(bundle); });
  const auto left = std::chrono::duration_cast<Duration>(deletion_.end - Clock::now());
  attempt("failed to cleanup rootfs mount",
          [&] { unmount_all(bundle.rootfs(), std::max(Duration(0), left)); });
  attempt("failed to remove the bundle's pid files", [&] { remove_files(bundle); });
}

}  // namespace thinshim
