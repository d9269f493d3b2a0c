// SPDX-License-Identifier: Apache-2.0
#include "cgroup/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mountinfo.h"
#include "base/proc.h"
#include "base/quote.h"
#include "base/text.h"
#include "cgroup/group_files.h"

namespace thinshim {
namespace {

bool list_contains(std::string_view commas, std::string_view word) {
  while (!commas.empty())
    if (cut(commas, ',') == word) return true;
  return false;
}

bool has_dotdot(std::string_view path) {
  return path.find("/../") != std::string_view::npos || path.ends_with("/..");
}

// A mount of a cgroup file system. The super options of a v1 hierarchy list its controllers.
struct Mount {
  std::string root;
  std::string point;
  std::string super_options;
};

// The directory of the cgroup `path` in a mount of its hierarchy; nothing where the mount does not
// contain it. Both `path` and the mount's root are relative to our cgroup namespace. The root is
// not
// "/" where only a part of the hierarchy is mounted (in a container, its own cgroup).
std::optional<std::string> directory_in(const Mount& mount, std::string_view path) {
  std::string_view root = mount.root == "/" ? std::string_view() : mount.root;
  if (path.substr(0, root.size()) != root) return std::nullopt;
  path.remove_prefix(root.size());
  if (!path.empty() && path.front() != '/') return std::nullopt;
  // A mount from outside our cgroup namespace has the root "/.."; the names below it are unknown.
  if (has_dotdot(path)) return std::nullopt;
  return mount.point + std::string(path);
}

std::vector<Mount> parse_mounts(std::string_view mountinfo, CgroupVersion version) {
  std::vector<Mount> mounts;
  while (!mountinfo.empty()) {
    MountinfoLine line = take_mount(mountinfo);
    if (line.type == (version == CgroupVersion::v1 ? "cgroup" : "cgroup2"))
      mounts.push_back(
          {unescape_mount(line.root), unescape_mount(line.point), std::string(line.super_options)});
  }
  return mounts;
}

std::vector<Mount> read_mounts(CgroupVersion version) {
  return parse_mounts(read_file("/proc/self/mountinfo", 256u << 20).value_or(""), version);
}

using Directories = std::vector<std::pair<std::string, std::string>>;

// Finds the directory of each controller. False where a hierarchy is not in `mounts`.
bool find_directories(CgroupVersion version, std::string_view memberships,
                      const std::vector<Mount>& mounts, Directories& directories) {
  bool complete = true;
  directories.clear();
  while (!memberships.empty()) {  // "ID:CONTROLLERS:PATH"; v2's has no controllers
    std::string_view path = cut(memberships, '\n');
    cut(path, ':');
    std::string_view controllers = cut(path, ':');
    if (controllers.empty() != (version == CgroupVersion::v2)) continue;
    // The root cgroup is not the container's: init is dead or in no other cgroup.
    if (path.empty() || path == "/") continue;
    std::string_view rest = controllers;
    std::string_view first = cut(rest, ',');
    std::optional<std::string> directory;
    for (const Mount& mount : mounts) {
      if (directory) break;
      if (version == CgroupVersion::v2 || list_contains(mount.super_options, first))
        directory = directory_in(mount, path);
    }
    complete = complete && directory;
    if (!directory) continue;
    do directories.emplace_back(cut(controllers, ','), *directory);
    while (!controllers.empty());
  }
  return complete;
}

// Copies the CPUs and memory nodes of the parent to a new cpuset of v1, which takes no processes
// without them (cpuset(7)).
void fill_cpuset(const std::string& group) {
  for (const char* name : {"cpuset.cpus", "cpuset.mems"}) {
    if (read_file(join_path(group, name)).value_or("") != "\n") continue;
    const std::string parents = join_path(directory_of(group), name);
    write_file(join_path(group, name), read_file(parents).value_or(""), 0);
  }
}

// Creates a cgroup and its parents below `top`, the root of its hierarchy.
void make_group(const std::string& group, const std::string& top, bool is_cpuset) {
  if (group.size() <= top.size()) return;
  make_group(directory_of(group), top, is_cpuset);
  make_directories(group, 0755);
  if (is_cpuset) fill_cpuset(group);
}

void add_pids(const std::string& directory, std::vector<pid_t>& pids) {
  Fd file = try_open(directory + "/cgroup.procs", O_RDONLY);
  std::string text;
  try {
    if (!file) throw_errno("open " + directory + "/cgroup.procs");
    text = read_all(file.get(), 64u << 20, directory + "/cgroup.procs");
  } catch (const Error& error) {
    // Removed meanwhile; or a threaded cgroup, whose processes are in its ancestor's file.
    if (error.errnum() == ENOENT || error.errnum() == ENODEV || error.errnum() == EOPNOTSUPP)
      return;
    throw;
  }
  std::string_view lines = text;
  while (!lines.empty()) {
    std::string_view line = cut(lines, '\n');
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) pids.push_back(pid);
  }
}

// The directories of a cgroup and its descendants in every hierarchy, parents first.
std::vector<std::string> groups_of_path(std::string_view path) {
  std::vector<std::string> groups;
  if (path.size() < 2 || path.front() != '/' || path.back() == '/' || has_dotdot(path))
    return groups;
  for (CgroupVersion version : {CgroupVersion::v1, CgroupVersion::v2}) {
    for (const Mount& mount : read_mounts(version)) {
      std::optional<std::string> directory = directory_in(mount, path);
      if (!directory) continue;
      const std::vector<std::string> tree = group_tree(*directory);
      groups.insert(groups.end(), tree.begin(), tree.end());
    }
  }
  return groups;
}

}  // namespace

std::vector<std::string> group_tree(const std::string& directory) {
  std::vector<std::string> groups = {directory};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    struct stat status{};
    if (::stat(groups[i].c_str(), &status) == 0 && status.st_nlink == 2) continue;  // none below
    std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(groups[i].c_str()), &::closedir);
    if (!stream && errno != ENOENT) throw_errno("open " + groups[i]);
    while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
      std::string_view name = entry->d_name;
      if (entry->d_type == DT_DIR && name != "." && name != "..")
        groups.push_back(join_path(groups[i], name));
    }
  }
  return groups;
}

CgroupVersion cgroup_version() {
  struct statfs status{};
  bool unified = ::statfs("/sys/fs/cgroup", &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
  return unified ? CgroupVersion::v2 : CgroupVersion::v1;
}

Cgroup Cgroup::of_process(pid_t pid) {
  std::optional<std::string> memberships;
  try {
    memberships = read_file("/proc/" + std::to_string(pid) + "/cgroup");
  } catch (const Error& error) {
    if (error.errnum() != ESRCH) throw;
  }
  if (!memberships) return {};
  // Hierarchies are mounted at boot: the cache is almost always complete.
  static std::vector<Mount> mounts;
  Cgroup group;
  group.version_ = cgroup_version();
  if (find_directories(group.version_, *memberships, mounts, group.directories_)) return group;
  mounts = read_mounts(group.version_);
  find_directories(group.version_, *memberships, mounts, group.directories_);
  return group;
}

Cgroup Cgroup::parse(CgroupVersion version, std::string_view memberships,
                     std::string_view mountinfo) {
  Cgroup group;
  group.version_ = version;
  find_directories(version, memberships, parse_mounts(mountinfo, version), group.directories_);
  return group;
}

const std::string& Cgroup::directory(std::string_view controller) const {
  static const std::string none;
  for (const auto& [name, directory] : directories_)
    if (version_ == CgroupVersion::v2 || name == controller) return directory;
  return none;
}

// v1: a process may be in a different cgroup of each hierarchy. runc takes the devices controller
// (libcontainer, cgroups/fs GetAllPids); the others are for machines and runtimes without it.
const std::string& Cgroup::process_directory() const {
  for (std::string_view controller : {"devices", "name=systemd", "pids", "freezer", "memory"})
    if (!directory(controller).empty()) return directory(controller);
  return directories_.empty() ? directory() : directories_.front().second;
}

bool Cgroup::exists() const {
  struct stat status{};
  const std::string& processes = process_directory();
  return !processes.empty() && ::stat(processes.c_str(), &status) == 0;
}

bool Cgroup::is_frozen() const {
  const bool v1 = version_ == CgroupVersion::v1;
  const char* thawed = v1 ? "THAWED\n" : "0\n";
  std::string buffer;
  return GroupFiles(directory("freezer"))
             .read(v1 ? "freezer.state" : "cgroup.freeze", buffer)
             .value_or(thawed) != thawed;
}

std::vector<pid_t> Cgroup::pids() const {
  std::vector<pid_t> pids;
  if (process_directory().empty()) return pids;
  for (const std::string& group : group_tree(process_directory())) add_pids(group, pids);
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

void join_cgroup(std::string_view path, pid_t pid) {
  std::string group = "/" + std::string(path);
  if (has_dotdot(group))
    throw Error::invalid_argument("cgroup " + quoted(path) + ": must not contain \"..\"");
  while (group.back() == '/' && group.size() > 1) group.pop_back();
  const CgroupVersion version = cgroup_version();
  bool joined = false;
  for (const Mount& mount : read_mounts(version)) {
    const bool is_in_sys_fs = version == CgroupVersion::v2
                                  ? mount.point == "/sys/fs/cgroup"
                                  : mount.point.starts_with("/sys/fs/cgroup/");
    if (!is_in_sys_fs) continue;
    const bool is_cpuset =
        version == CgroupVersion::v1 && list_contains(mount.super_options, "cpuset");
    make_group(mount.point + group, mount.point, is_cpuset);
    write_file(mount.point + group + "/cgroup.procs", std::to_string(pid), 0);
    joined = true;
  }
  if (!joined)
    throw Error::failed_precondition("cgroup " + quoted(path) +
                                     ": no cgroup file system at /sys/fs/cgroup");
}

bool remove_empty_groups(std::string_view path) {
  bool left = false;
  const std::vector<std::string> groups = groups_of_path(path);
  for (auto group = groups.rbegin(); group != groups.rend(); ++group)
    if (::rmdir(group->c_str()) != 0 && (errno == EBUSY || errno == ENOTEMPTY)) left = true;
  return !left;
}

std::vector<pid_t> processes_in_groups(std::string_view path) {
  std::vector<pid_t> pids;
  for (const std::string& group : groups_of_path(path)) add_pids(group, pids);
  return pids;
}

bool is_in_group(pid_t pid, std::string_view path) {
  std::string group(path);
  if (path.find(':') != std::string_view::npos) {
    cut(path, ':');
    const std::string_view prefix = cut(path, ':');
    group = "/" + std::string(prefix) + "-" + std::string(path) + ".scope";
  }
  const ProcessState state = process_state(pid);
  if (state == ProcessState::exited || state == ProcessState::exiting) return false;
  if (!group.starts_with('/') || group.ends_with('/')) return false;
  // Lines "ID:CONTROLLERS:PATH" (cgroups(7)); PATH may be a descendant.
  const std::string memberships = read_proc_file(pid, "cgroup").value_or("");
  for (std::size_t at = 0; (at = memberships.find(group, at)) != std::string::npos; ++at) {
    const char behind = memberships[at + group.size()];
    if (behind == '\n' || behind == '/') return true;
  }
  return false;
}

}  // namespace thinshim
