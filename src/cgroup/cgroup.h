// SPDX-License-Identifier: Apache-2.0
// The cgroup of a container: its directories and processes.
//
// It is the cgroup of init after the runtime's create and before its start. Later, init may be
// elsewhere: a container with its own cgroup namespace can move init to a child cgroup (systemd
// moves it to init.scope), and a dead process appears in the root cgroup of v1 (cgroups(7)).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thinshim {

// v1 includes hybrid machines, as in containerd and runc: their cgroup2 mount has no controllers.
enum class CgroupVersion { v1, v2 };

// The version at /sys/fs/cgroup, where containerd and runc look.
CgroupVersion cgroup_version();

// The directory of a cgroup and of all its descendants, parents first. Throws Error.
std::vector<std::string> group_tree(const std::string& directory);

class Cgroup {
 public:
  // No cgroup: has no processes and does not exist.
  Cgroup() = default;

  // The cgroup of a process; no cgroup where the process does not exist or its cgroup is not
  // mounted here. Throws Error where /proc cannot be read. Caches mountinfo; reads it again where a
  // hierarchy is not in the cache.
  static Cgroup of_process(pid_t pid);
  // The same from the content of /proc/PID/cgroup and /proc/self/mountinfo.
  static Cgroup parse(CgroupVersion version, std::string_view memberships,
                      std::string_view mountinfo);

  CgroupVersion version() const { return version_; }
  // The directory for a v1 controller ("memory") or a named hierarchy ("name=systemd"); empty where
  // the container is in the root cgroup of that hierarchy. v2: the same directory for all.
  const std::string& directory(std::string_view controller = {}) const;

  // Whether the cgroup still exists. systemd removes a scope as soon as it is empty.
  bool exists() const;
  // Whether the processes are frozen, by the runtime or another program.
  bool is_frozen() const;
  // The processes in the cgroup and its descendants, ascending, without those that are not visible
  // in this pid namespace; empty where the cgroup was removed. Throws Error.
  std::vector<pid_t> pids() const;

 private:
  // The directory whose cgroup.procs lists the container's processes.
  const std::string& process_directory() const;

  CgroupVersion version_ = CgroupVersion::v1;
  std::vector<std::pair<std::string, std::string>> directories_;  // controller and directory
};

// Moves a process into the cgroup `path` ("/shims") of every v1 hierarchy below /sys/fs/cgroup, or
// of the v2 hierarchy there. Creates the cgroup where it is missing. Throws Error.
void join_cgroup(std::string_view path, pid_t pid);

// Removes the cgroup `path` ("/k8s.io/c1", as in config.json) and its descendants from all
// hierarchies of both versions. Those with processes stay; returns false then. Does nothing for a
// path of another form. Throws Error.
bool remove_empty_groups(std::string_view path);
// The processes in these cgroups, unsorted; a process may appear once per hierarchy. Throws Error.
std::vector<pid_t> processes_in_groups(std::string_view path);

// Whether a process is alive and in the cgroup `path` of config.json, or a descendant of it. A
// systemd path ("SLICE:PREFIX:NAME") stands for the scope. False where `path` names no cgroup.
// Throws Error where /proc cannot be read.
bool is_in_group(pid_t pid, std::string_view path);

}  // namespace thinshim
