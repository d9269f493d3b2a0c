// SPDX-License-Identifier: Apache-2.0
// The control group of a container: where its directories are, and which processes are in it.
//
// The group is that of the container's first process at the time when the runtime has made it and
// the container's own program does not run yet. Later would be wrong: with a cgroup namespace of
// its own a container may move its first process into a sub group (systemd does, to init.scope),
// and with cgroup v1 a process that is dead shows up in the root group (cgroups(7)).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thinshim {

// v1 stands for hybrid machines too, as far as containerd and runc are concerned: the controllers
// are v1's, and the cgroup2 mount beside them has none.
enum class CgroupVersion { v1, v2 };

// What this machine has at /sys/fs/cgroup, the place that containerd and runc look at.
CgroupVersion cgroup_version();

// A group's directory and those of all groups below it, each before its own. Throws Error.
std::vector<std::string> group_tree(const std::string& directory);

class Cgroup {
 public:
  // No group: has no processes and does not exist.
  Cgroup() = default;

  // The group of a process; no group where there is no such process, or where its group cannot be
  // reached. Throws Error where /proc cannot be read. Reads mountinfo once only, unless hierarchies
  // were mounted since.
  static Cgroup of_process(pid_t pid);
  // The same from the texts of /proc/PID/cgroup and /proc/self/mountinfo.
  static Cgroup parse(CgroupVersion version, std::string_view memberships,
                      std::string_view mountinfo);

  CgroupVersion version() const { return version_; }
  // The directory for a v1 controller ("memory") or a named hierarchy ("name=systemd"); empty where
  // the container has no group of its own there. With v2 there is one directory, whatever is asked
  // for.
  const std::string& directory(std::string_view controller = {}) const;

  // Whether the group is still there. systemd removes an empty scope before anybody asks for it.
  bool exists() const;
  // Whether its processes are frozen, whoever has done it.
  bool is_frozen() const;
  // All processes in the group and in the groups below it, ascending; none once the group is gone.
  // Processes that this process's pid namespace does not show are left out. Throws Error.
  std::vector<pid_t> pids() const;

 private:
  // The directory whose processes are the container's.
  const std::string& process_directory() const;

  CgroupVersion version_ = CgroupVersion::v1;
  std::vector<std::pair<std::string, std::string>> directories_;  // controller and directory
};

// Moves a process into the group `path` ("/shims") of every v1 hierarchy below /sys/fs/cgroup, or
// of the v2 one that is there. The group is made where it is missing. Throws Error.
void join_cgroup(std::string_view path, pid_t pid);

// Removes the group `path` ("/k8s.io/c1", as config.json names it) and those below it from every
// hierarchy of either version, as far as no process is in them. Whether none is left. Nothing is
// done for any other path. Throws Error.
bool remove_empty_groups(std::string_view path);
// The processes in these groups, in no order; a process that is in several hierarchies' comes as
// often. Throws Error.
std::vector<pid_t> processes_in_groups(std::string_view path);

// Whether a process lives, and is in the group that config.json names so or in one below it; a path
// of systemd's ("SLICE:PREFIX:NAME") stands for a scope. None is in a group that a path does not
// name. Throws Error where that cannot be told.
bool is_in_group(pid_t pid, std::string_view path);

}  // namespace thinshim
