// SPDX-License-Identifier: Apache-2.0
#include "shim/remove.h"

#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cgroup/cgroup.h"
#include "oci/bundle.h"
#include "oci/group_record.h"
#include "oci/rootfs.h"
#include "oci/runtime.h"
#include "oci/spec.h"
#include "process/reaper.h"
#include "runc_options.pb.h"
#include "shim/address.h"
#include "shim/config.h"
#include "shim/dying.h"
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

// What was asked for, and what all steps of it share.
struct Deletion {
  const Arguments& arguments;
  std::string address = {};  // of the shim; empty where unknown
  Clock::time_point end = Clock::now() + kPatience;
  bool done = true;  // whether all is gone that was to go
};

// stdout is for the answer; containerd logs what comes on stderr.
void warn(const std::string& what, const std::string& reason) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string line =
      log::format(log::Level::warning, what, {{"error", reason}}, now.tv_sec, now.tv_nsec);
  std::fputs(line.c_str(), stderr);
}

// One step of the clean-up; the next one is taken in any case. Returns whether it succeeded.
bool attempt(const std::string& what, const std::function<void()>& step) {
  try {
    step();
    return true;
  } catch (const std::exception& error) {
    warn(what, error.what());
    return false;
  }
}

// A container of which something may be left.
struct Remains {
  GroupMember container;  // without what stands in its config.json, unless it is recorded
  bool recorded = false;  // its bundle may be gone
  bool sure = true;       // whether this is what it was made with
};

// Ids and bundles come back while we wait: another's may be there by now which had the name of one
// of those who shared the shim. Whoever has a shim has its address in the bundle before there is
// anything else of it: as long as there is none, what the runtime has is still what we look for.
bool is_anothers_by_now(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id) return false;
  const Bundle bundle(container.bundle);
  return bundle.read_address().value_or(deletion.address) != deletion.address;
}

// Likewise of the bundle: one without an address is not what we knew.
bool is_anothers_bundle_by_now(const GroupMember& container, const Deletion& deletion) {
  if (container.id == deletion.arguments.id || !may_exist(container.bundle)) return false;
  return Bundle(container.bundle).read_address() != deletion.address;
}

// As it stands in the container's own bundle.
Remains remains_in(const Bundle& bundle, const std::string& id, const Arguments& arguments) {
  Remains remains{{id, bundle.path(), {}}};
  std::optional<RuncOptions> options;
  remains.sure &= attempt("read the container's options", [&] { options = bundle.read_options(); });
  // This one is not gone on without: another runtime removes the state, and leaves the processes.
  std::optional<std::string> binary = bundle.read_runtime();
  Config config;
  remains.sure &=
      attempt("read the configuration", [&] { config = load_config("", arguments.config_file); });
  const RuntimeConfig& configured = config.task.runtime;
  Runtime::Settings& settings = remains.container.runtime;
  settings.binary = binary && !binary->empty() ? *binary : configured.binary;
  settings.root = join_path(options && !options->root().empty() ? options->root() : configured.root,
                            arguments.containerd_namespace);
  settings.systemd_cgroup = configured.systemd_cgroup || (options && options->systemd_cgroup());
  return remains;
}

Task<bool> is_known(Runtime runtime, std::string id) {
  const Runtime::Knows known = runtime.knows(id);
  if (known != Runtime::Knows::unknown) co_return known == Runtime::Knows::yes;
  Task<std::optional<Runtime::State>> asking = runtime.state(id);
  const std::optional<Runtime::State> state = co_await std::move(asking);
  co_return state.has_value();
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
  if (!failure && runtime.knows(id) != Runtime::Knows::yes) co_return;
  if (!failure) failure = Error::failed_precondition("the runtime still has " + id);
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

Task<> remove_states(Reaper& reaper, std::vector<GroupMember> containers, Deletion& deletion) {
  Loop& loop = reaper.loop();
  TaskSet removing;
  for (const GroupMember& one : containers)
    removing.spawn(attempt_to_remove_from(loop, Runtime(reaper, one.runtime), one, deletion),
                   "remove " + one.id);
  Task<> ending = removing.wait_empty();
  co_await std::move(ending);
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

void remove_files(const Bundle& bundle) {
  if (!may_exist(bundle.config())) return;  // no bundle: its pid files are somebody else's
  for (const std::string& name : entries_of(bundle.path())) {
    const bool exec_pid = name.ends_with(".pid") && name.size() > 4 && name != "init.pid";
    const bool console = name.starts_with("console-") && name.ends_with(".sock");
    if (exec_pid || console || Bundle::is_unfinished(name))
      ::unlink(join_path(bundle.path(), name).c_str());
  }
}

Runtime::Knows knows(const Remains& remains) {
  return Runtime::knows(remains.container.runtime, remains.container.id);
}

bool has_init_pid(const Bundle& bundle) { return ::access(bundle.init_pid().c_str(), F_OK) == 0; }

// Not after every deletion: that leaves the pid and no state. A record is there only before one.
bool may_be_half_made(const Remains& remains) {
  const Bundle bundle(remains.container.bundle);
  return remains.recorded || (may_exist(bundle.config()) && !has_init_pid(bundle));
}

// All of them have, or had, one shim.
void clean(const std::vector<Remains>& all, Deletion& deletion) {
  using Knows = Runtime::Knows;
  for (const Remains& one : all) {
    if (knows(one) == Knows::no && !may_be_half_made(one)) continue;
    attempt("failed to wait for the dead shim's end", [&] {
      wait_for_the_dying({deletion.address, one.container.bundle},
                         deletion.end - kPatienceWithGroups);
    });
    break;
  }
  std::vector<GroupMember> known;
  for (const Remains& one : all) {
    const Knows answer = knows(one);
    if (answer != Knows::no) known.push_back(one.container);
    if (answer != Knows::no || one.sure) continue;
    warn("failed to find runc container", "where " + one.container.id + " is kept cannot be read");
    deletion.done = false;
  }
  if (!known.empty())
    deletion.done &= attempt("failed to remove runc container", [&] {
      Loop loop;
      Reaper reaper(loop);
      loop.run(remove_states(reaper, known, deletion));
    });
  for (const Remains& one : all) {
    const Bundle bundle(one.container.bundle);
    bool is_ours = false;
    deletion.done &= attempt("failed to look at a bundle once more", [&] {
      is_ours = !is_anothers_bundle_by_now(one.container, deletion);
    });
    if (!is_ours) continue;
    const bool had_state = std::ranges::any_of(
        known, [&](const GroupMember& member) { return member.id == one.container.id; });
    if (had_state || !has_init_pid(bundle))
      attempt("failed to remove the container's cgroups", [&] { remove_groups(one, deletion); });
    attempt("failed to cleanup rootfs mount", [&] { unmount_all(bundle.rootfs()); });
    attempt("failed to remove the bundle's pid files", [&] { remove_files(bundle); });
  }
}

// The socket goes where nobody can be reached by it.
Liveness remove_dead_socket(const Deletion& deletion) {
  std::optional<std::string> path = path_of_address(deletion.address);
  if (!path || !may_exist(directory_of(*path))) return Liveness::unknown;
  if (is_no_socket(*path))  // whatever the bundle's file was made to say
    throw Error::invalid_argument(*path + " is no socket");
  const auto patience = deletion.end - kPatienceWithGroups - Clock::now();
  SocketLock lock(*path, std::chrono::duration_cast<std::chrono::milliseconds>(patience));
  const Probe probe = probe_socket(*path);
  if (probe.listener == Liveness::unknown && !probe.is_missing()) throw *probe.failure;
  if (probe.listener == Liveness::dead && ::unlink(path->c_str()) < 0)
    warn("remove the shim's socket", errno_text(errno));
  return probe.listener;
}

// Whether the shim is proven gone, which takes a moment where it has just been killed: nobody holds
// a socket of its name, and nobody serves in its bundles. Its own socket's file proves nothing: it
// may be missing, or another's. Throws Error where neither can be told.
bool is_gone(const Bundle& bundle, const Deletion& deletion) {
  const std::string path = path_of_address(deletion.address).value_or("");
  if (path.empty()) throw Error::unknown("the shim's address is not known");
  for (;; ::usleep(kBetweenLooks)) {
    if (has_living_server({deletion.address, bundle.path()})) return false;
    if (listeners_at(path).empty()) return true;
    const Probe probe = probe_socket(path);
    if (probe.listener == Liveness::alive) return false;
    if (Clock::now() < deletion.end) continue;
    throw Error::failed_precondition(
        "somebody still listens at " + path +
        (probe.failure ? std::string(" (") + probe.failure->what() + ")" : ""));
  }
}

// The other containers that have the shim in common with this one: those that the shim has recorded
// in its own bundle, where this is that, and those of a shim that records nobody, by the address in
// their bundles. An id whose bundle has another address by now is another's.
std::vector<Remains> others_of_group(const Bundle& bundle, Deletion& deletion) {
  std::vector<Remains> others;
  const std::string& own = deletion.arguments.id;
  const std::vector<std::string> recorded = member_ids(bundle.path());
  for (const std::string& id : recorded) {
    if (id == own) continue;
    deletion.done &= attempt("failed to look at a recorded container", [&] {
      std::optional<GroupMember> member = read_member(bundle.path(), id);
      if (!member) return;
      if (!is_anothers_by_now(*member, deletion)) others.push_back({std::move(*member), true});
    });
  }
  const std::string bundles = directory_of(bundle.path());
  for (const std::string& id : entries_of(bundles)) {
    const Bundle other(join_path(bundles, id));
    if (id == own || other.path() == bundle.path() || std::ranges::count(recorded, id) != 0)
      continue;
    deletion.done &= attempt("failed to look at another container", [&] {
      if (other.read_address() != deletion.address) return;
      others.push_back(remains_in(other, id, deletion.arguments));
      if (!other.read_address()) throw Error::not_found("the bundle of " + id + " has just gone");
    });
  }
  return others;
}

// Nothing of them is touched unless their shim is gone.
void clean_group(const Bundle& bundle, Deletion& deletion) {
  const std::vector<Remains> others = others_of_group(bundle, deletion);
  if (!others.empty() && is_gone(bundle, deletion)) clean(others, deletion);
}

std::string answer_for(const Bundle& bundle) {
  containerd::task::v3::DeleteResponse response;
  attempt("failed to read init pid file", [&] {
    response.set_pid(static_cast<std::uint32_t>(read_pid_file(bundle.init_pid()).value_or(0)));
  });
  Exit exit{0, 128 + SIGKILL, {}};
  clock_gettime(CLOCK_REALTIME, &exit.at);
  // Which the shim has told, or was about to tell when it died.
  attempt("failed to read the exit", [&] { exit = bundle.read_exit().value_or(exit); });
  response.set_exit_status(static_cast<std::uint32_t>(exit.status));
  response.mutable_exited_at()->set_seconds(exit.at.tv_sec);
  response.mutable_exited_at()->set_nanos(static_cast<std::int32_t>(exit.at.tv_nsec));
  return response.SerializeAsString();
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
  deletion.done &=
      attempt("read the shim's address", [&] { address = bundle.read_address().value_or(""); });
  // containerd may have taken the bundle away already. A group's socket has another name.
  if (address.empty() && !arguments.address.empty())
    address = address_of_path(
        socket_path("", arguments.address, arguments.containerd_namespace, arguments.id));
  Liveness shim = Liveness::unknown;
  attempt("remove the shim's socket", [&] { shim = remove_dead_socket(deletion); });
  deletion.done &= attempt("failed to clean up",
                           [&] { clean({remains_in(bundle, arguments.id, arguments)}, deletion); });
  // Only such callers leave the rest of a group to the shim's death.
  if (shim != Liveness::alive)
    deletion.done &= attempt("failed to clean up the other containers of the group", [&] {
      if (recorded_version(bundle.path()) == kBootstrapVersion) clean_group(bundle, deletion);
    });
  if (!deletion.done)
    throw Error::failed_precondition("container " + arguments.id + " is not cleaned up");

  return answer_for(bundle);
}

}  // namespace thinshim
