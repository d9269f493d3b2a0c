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
#include "shim/processes.h"
#include "shim/version.h"
#include "task.pb.h"

namespace thinshim {
namespace {

using Clock = std::chrono::steady_clock;

// The container of a bundle, as its own files describe it.
Leftover leftover_in(const Bundle& bundle, const std::string& id, const Arguments& arguments) {
  Leftover leftover{{id, bundle.path(), {}}};
  std::optional<RuncOptions> options;
  leftover.settings_known &=
      attempt("failed to read the container's options", [&] { options = bundle.read_options(); });
  // A failure here is fatal: another runtime would remove the state and leave the processes.
  std::optional<std::string> binary = bundle.read_runtime();
  Config config;
  leftover.settings_known &= attempt("failed to read the configuration",
                                     [&] { config = load_config("", arguments.config_file); });
  const RuntimeConfig& configured = config.task.runtime;
  Runtime::Settings& settings = leftover.container.runtime;
  settings.binary = binary && !binary->empty() ? *binary : configured.binary;
  settings.root = join_path(options && !options->root().empty() ? options->root() : configured.root,
                            arguments.containerd_namespace);
  settings.systemd_cgroup = configured.systemd_cgroup || (options && options->systemd_cgroup());
  return leftover;
}

// Removes the socket if its shim is dead. Throws Error if that cannot be found out.
Liveness remove_dead_socket(const Deletion& deletion) {
  std::optional<std::string> path = path_of_address(deletion.address);
  if (!path || !may_exist(directory_of(*path))) return Liveness::unknown;
  if (is_not_socket(*path))  // the bundle's file may name any path
    throw Error::invalid_argument(*path + ": not a socket");
  const auto timeout = deletion.end - kCgroupTimeout - Clock::now();
  SocketLock lock(*path, std::chrono::duration_cast<std::chrono::milliseconds>(timeout));
  const Probe probe = probe_socket(*path);
  if (probe.listener == Liveness::unknown && !probe.is_missing()) throw *probe.failure;
  if (probe.listener == Liveness::dead && ::unlink(path->c_str()) < 0)
    warn("failed to remove the shim's socket", errno_text(errno));
  return probe.listener;
}

// Whether the shim is proven gone: no socket of its name listens, and no thinshim serves in its
// bundles. That takes a moment after it was killed. The socket's file proves nothing: it may be
// missing, or another shim's. Throws Error if it cannot be found out.
bool is_gone(const Bundle& bundle, const Deletion& deletion) {
  const std::string path = path_of_address(deletion.address).value_or("");
  if (path.empty()) throw Error::unknown("the shim's address is unknown");
  for (;; ::usleep(kPollInterval)) {
    if (has_living_server({deletion.address, bundle.path()})) return false;
    if (listeners_at(path).empty()) return true;
    const Probe probe = probe_socket(path);
    if (probe.listener == Liveness::alive) return false;
    if (Clock::now() < deletion.end) continue;
    throw Error::failed_precondition(
        "a process still listens on " + path +
        (probe.failure ? std::string(" (") + probe.failure->what() + ")" : ""));
  }
}

// The other containers of the group: those that have a record in this bundle, if it is the group's
// first one, and those whose bundles have the same address (a stock shim writes no records). A
// recorded id whose bundle has another address belongs to a newer container.
std::vector<Leftover> others_of_group(const Bundle& bundle, Deletion& deletion) {
  std::vector<Leftover> others;
  const std::string& own = deletion.arguments.id;
  const std::vector<std::string> recorded = member_ids(bundle.path());
  for (const std::string& id : recorded) {
    if (id == own) continue;
    deletion.complete &= attempt("failed to read the record of a container", [&] {
      std::optional<GroupMember> member = read_member(bundle.path(), id);
      if (!member) return;
      if (!is_id_reused(*member, deletion)) others.push_back({std::move(*member), true});
    });
  }
  const std::string bundles = directory_of(bundle.path());
  for (const std::string& id : entries_of(bundles)) {
    const Bundle other(join_path(bundles, id));
    if (id == own || other.path() == bundle.path() || std::ranges::count(recorded, id) != 0)
      continue;
    deletion.complete &= attempt("failed to read another container's bundle", [&] {
      if (other.read_address() != deletion.address) return;
      others.push_back(leftover_in(other, id, deletion.arguments));
      if (!other.read_address()) throw Error::not_found("bundle of " + id + ": just removed");
    });
  }
  return others;
}

// Cleans up the group's other containers, but only if their shim is proven gone.
void clean_group(const Bundle& bundle, Deletion& deletion) {
  const std::vector<Leftover> others = others_of_group(bundle, deletion);
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
  // The shim writes the exit before it publishes it.
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
  deletion.complete &= attempt("failed to read the shim's address",
                               [&] { address = bundle.read_address().value_or(""); });
  // containerd may have removed the bundle already. This finds the socket unless it is a group's.
  if (address.empty() && !arguments.address.empty())
    address = address_of_path(
        socket_path("", arguments.address, arguments.containerd_namespace, arguments.id));
  Liveness shim = Liveness::unknown;
  attempt("failed to remove the shim's socket", [&] { shim = remove_dead_socket(deletion); });
  std::optional<Cleaning> own;
  deletion.complete &= attempt("failed to clean up", [&] {
    own.emplace(std::vector{leftover_in(bundle, arguments.id, arguments)}, deletion);
    own->begin();
  });
  // Only a containerd that uses version 3 leaves the group's other containers to this `delete`.
  if (shim != Liveness::alive)
    deletion.complete &= attempt("failed to clean up the other containers of the group", [&] {
      if (recorded_version(bundle.path()) == kBootstrapVersion) clean_group(bundle, deletion);
    });
  // Last, because this container's runtime may hang.
  if (own) deletion.complete &= attempt("failed to clean up", [&] { own->finish(); });
  if (!deletion.complete)
    throw Error::failed_precondition("failed to clean up container " + arguments.id);

  return answer_for(bundle);
}

}  // namespace thinshim
