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
#include "cgroup/cgroup.h"
#include "oci/bundle.h"
#include "oci/rootfs.h"
#include "oci/runtime.h"
#include "oci/spec.h"
#include "shim/dying.h"

namespace thinshim {
namespace {

using Clock = std::chrono::steady_clock;
using Knows = Runtime::Knows;

// What does not go by itself in a moment is ended.
constexpr std::chrono::milliseconds kMoment{50};

// Whether its bundle is another's by now: one without an address is not what we knew.
bool is_anothers_bundle_by_now(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id || !may_exist(container.bundle)) return false;
  return Bundle(container.bundle).read_address() != deletion.address;
}

// The files of its calls go into the bundle that stands until `delete` is over, whatever becomes of
// those of the others of a group; -bundle may name anything.
Runtime runtime_of(Reaper& reaper, const GroupMember& container, const Deletion& deletion) {
  Runtime::Settings settings = container.runtime;
  if (may_exist(deletion.bundle.config())) settings.bundle = deletion.bundle.path();
  return {reaper, std::move(settings)};
}

Task<bool> is_known(Runtime runtime, std::string id) {
  const Knows known = runtime.knows(id);
  if (known != Knows::unknown) co_return known == Knows::yes;
  Task<std::optional<Runtime::State>> asking = runtime.state(id);
  const std::optional<Runtime::State> state = co_await std::move(asking);
  co_return state.has_value();
}

// Whether a runtime that says to have removed it has done so. One of unknown layout is believed
// unless it shows the container.
Task<bool> is_removed(Runtime runtime, std::string id) {
  try {
    Task<bool> asking = is_known(std::move(runtime), std::move(id));
    const bool known = co_await std::move(asking);
    co_return !known;
  } catch (const Error&) {
    co_return true;
  }
}

// Throws Error where the runtime may still have it. One that does not know it need not succeed, and
// one that fails may do so because another `delete` of the same pod is removing it just now.
Task<> remove_from(Loop& loop, Runtime runtime, std::string id) {
  constexpr Duration kLooking = std::chrono::milliseconds(500);
  constexpr Duration kPause = std::chrono::milliseconds(25);
  std::optional<Error> failure;
  try {
    Task<> removing = runtime.remove(id, true);
    co_await std::move(removing);
  } catch (const Error& error) {
    failure = error;
  }
  if (!failure) {
    Task<bool> looking = is_removed(runtime, id);
    const bool removed = co_await std::move(looking);
    if (removed) co_return;
    failure = Error::failed_precondition("the runtime still has " + id);
  }
  for (const Clock::time_point end = Clock::now() + kLooking;;) {
    bool is_left = true;
    try {
      Task<bool> asking = is_known(runtime, id);
      is_left = co_await std::move(asking);
    } catch (const Error& error) {
      warn("failed to ask for runc container", error.what());
    }
    if (!is_left) co_return;
    if (Clock::now() >= end) throw *failure;
    co_await sleep(loop, kPause);
  }
}

Task<> attempt_to_remove_from(Loop& loop, Runtime runtime, GroupMember container,
                              Deletion& deletion) {
  try {
    if (is_anothers_by_now(container, deletion)) co_return;
    Task<> removing = remove_from(loop, std::move(runtime), container.id);
    co_await std::move(removing);
  } catch (const Error& error) {
    warn("failed to remove runc container", error.what());
    deletion.done = false;
  }
}

// A runtime that died with the shim before it wrote everything down leaves the container's groups.
// Its first process is then on its way out of them, or waits for ever (crun's, now and then; any
// in a hook). Others in them are no business of ours: nothing says that a group is one container's
// alone.
void remove_groups(const Remains& remains, const Deletion& deletion) {
  const Bundle bundle(remains.container.bundle);
  std::string path = remains.container.cgroups_path;
  std::string root = remains.container.root_path;
  if (!remains.recorded) {
    if (!may_exist(bundle.config())) return;
    const ContainerSpec spec = read_container_spec(bundle.config());
    path = spec.cgroups_path;
    root =
        spec.root_path.starts_with('/') ? spec.root_path : join_path(bundle.path(), spec.root_path);
  }
  const Clock::time_point begin = Clock::now();
  const Clock::time_point end = std::min(deletion.end, begin + kPatienceWithGroups);
  for (; !remove_empty_groups(path); ::usleep(kBetweenLooks)) {
    const Clock::time_point now = Clock::now();
    if (now >= std::min(end, begin + kMoment))
      for (pid_t pid : processes_in_groups(path)) end_what_works_for(bundle.path(), root, pid);
    if (now >= end) throw Error::failed_precondition("processes are left in " + path);
  }
}

// Whatever the runtime says of it, or a program that runs the runtime. Another process that has the
// number of init by now is in another group. A pid file that cannot be read is told of in the end.
void require_end_of_init(const Bundle& bundle) {
  std::optional<int> init;
  try {
    init = read_pid_file(bundle.init_pid());
  } catch (const Error&) {
  }
  if (!init || !may_exist("/proc/" + std::to_string(*init))) return;
  if (is_in_group(*init, read_container_spec(bundle.config()).cgroups_path))
    throw Error::failed_precondition("process " + std::to_string(*init) +
                                     " of the container still runs");
}

void remove_files(const Bundle& bundle) {
  if (!may_exist(bundle.config())) return;  // no bundle: its pid files are somebody else's
  for (const std::string& name : entries_of(bundle.path())) {
    const bool exec_pid = name.ends_with(".pid") && name.size() > 4 && name != "init.pid";
    const bool console = name.starts_with("console-") && name.ends_with(".sock");
    if (exec_pid || console || Bundle::is_temporary(name))
      ::unlink(join_path(bundle.path(), name).c_str());
  }
}

Knows knows(const Remains& remains) {
  return Runtime::knows(remains.container.runtime, remains.container.id);
}

bool has_init_pid(const Bundle& bundle) { return ::access(bundle.init_pid().c_str(), F_OK) == 0; }

// Not after every deletion: that leaves the pid and no state. A record is there only before one.
bool may_be_half_made(const Remains& remains) {
  const Bundle bundle(remains.container.bundle);
  return remains.recorded || (may_exist(bundle.config()) && !has_init_pid(bundle));
}

}  // namespace

// stdout is for the answer.
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

// Whoever has a shim has its address in the bundle before there is
// anything else of it: as long as there is none, what the runtime has is still what we look for.
bool is_anothers_by_now(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id) return false;
  const Bundle bundle(container.bundle);
  return bundle.read_address().value_or(deletion.address) != deletion.address;
}

void Cleaning::begin() {
  wait_for_their_makers();
  for (const Remains& one : all_) remove_state(one);
  if (!removing_.empty()) deletion_.call().loop.run(removed_by(deletion_.end));
}

void Cleaning::finish() {
  if (!removing_.empty()) deletion_.call().loop.run(removing_.wait_empty());
  for (const Remains& one : all_) remove_rest(one);
}

void Cleaning::wait_for_their_makers() {
  const auto one = std::ranges::find_if(all_, [](const Remains& remains) {
    return knows(remains) != Knows::no || may_be_half_made(remains);
  });
  if (one == all_.end()) return;
  attempt("failed to wait for the dead shim's end", [&] {
    wait_for_the_dying({deletion_.address, one->container.bundle},
                       deletion_.end - kPatienceWithGroups);
  });
}

void Cleaning::remove_state(const Remains& one) {
  const GroupMember& container = one.container;
  if (knows(one) != Knows::no) {
    deletion_.done &= attempt("failed to remove runc container", [&] {
      Caller& caller = deletion_.call();
      removing_.spawn(
          attempt_to_remove_from(caller.loop, runtime_of(caller.reaper, container, deletion_),
                                 container, deletion_),
          "remove " + container.id);
      known_.insert(container.id);
    });
  } else if (!one.sure) {
    warn("failed to find runc container", "where " + container.id + " is kept cannot be read");
    deletion_.done = false;
  }
}

Task<> Cleaning::removed_by(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<Duration>(end - Clock::now());
  Task<bool> waiting =
      within(deletion_.call().loop, std::max(Duration(0), left), removing_.wait_empty());
  co_await std::move(waiting);
}

void Cleaning::remove_rest(const Remains& one) {
  const Bundle bundle(one.container.bundle);
  bool is_ours = false;
  deletion_.done &= attempt("failed to look at a bundle once more", [&] {
    is_ours = !is_anothers_bundle_by_now(one.container, deletion_);
  });
  if (!is_ours) return;
  if (known_.count(one.container.id) != 0 || !has_init_pid(bundle))
    attempt("failed to remove the container's cgroups", [&] { remove_groups(one, deletion_); });
  deletion_.done &= attempt("failed to end the container", [&] { require_end_of_init(bundle); });
  attempt("failed to cleanup rootfs mount", [&] { unmount_all(bundle.rootfs()); });
  attempt("failed to remove the bundle's pid files", [&] { remove_files(bundle); });
}

}  // namespace thinshim
