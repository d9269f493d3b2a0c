// SPDX-License-Identifier: Apache-2.0
#include "shim/remove.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "oci/bundle.h"
#include "oci/group_record.h"
#include "oci/runtime.h"
#include "runc_options.pb.h"
#include "shim/address.h"
#include "shim/cleaning.h"
#include "shim/config.h"
#include "shim/dying.h"
#include "shim/version.h"
#include "task.pb.h"

namespace thinshim {
namespace {

using Clock = std::chrono::steady_clock;

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
  if (others.empty() || !is_gone(bundle, deletion)) return;
  Cleaning cleaning(others, deletion);
  cleaning.begin();
  cleaning.finish();
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
  const Bundle bundle(bundle_path(arguments));
  Deletion deletion{arguments, bundle};
  std::string& address = deletion.address;
  deletion.done &=
      attempt("read the shim's address", [&] { address = bundle.read_address().value_or(""); });
  // containerd may have taken the bundle away already. A group's socket has another name.
  if (address.empty() && !arguments.address.empty())
    address = address_of_path(
        socket_path("", arguments.address, arguments.containerd_namespace, arguments.id));
  Liveness shim = Liveness::unknown;
  attempt("remove the shim's socket", [&] { shim = remove_dead_socket(deletion); });
  std::optional<Cleaning> own;
  deletion.done &= attempt("failed to clean up", [&] {
    own.emplace(std::vector{remains_in(bundle, arguments.id, arguments)}, deletion);
    own->begin();
  });
  // Only such callers leave the rest of a group to the shim's death.
  if (shim != Liveness::alive)
    deletion.done &= attempt("failed to clean up the other containers of the group", [&] {
      if (recorded_version(bundle.path()) == kBootstrapVersion) clean_group(bundle, deletion);
    });
  // Whose runtime may hang: the others have been cleaned up by now.
  if (own) deletion.done &= attempt("failed to clean up", [&] { own->finish(); });
  if (!deletion.done)
    throw Error::failed_precondition("container " + arguments.id + " is not cleaned up");

  return answer_for(bundle);
}

}  // namespace thinshim
