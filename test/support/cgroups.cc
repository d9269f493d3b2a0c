// SPDX-License-Identifier: Apache-2.0
#include "support/cgroups.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "support/eventually.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

// Where hierarchies are mounted, from /proc/self/mountinfo: the mount point is the fifth word, the
// file system's type the first one after the lone dash.
std::vector<fs::path> hierarchies() {
  std::vector<fs::path> found;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string word;
    std::string mount_point;
    for (int i = 0; i < 5 && words >> word; ++i) mount_point = word;
    while (words >> word && word != "-") {
    }
    if (words >> word && (word == "cgroup" || word == "cgroup2")) found.emplace_back(mount_point);
  }
  return found;
}

// With cgroup v1 a frozen process does not die of a signal, and a pid namespace with such a process
// never ends.
void thaw(const fs::path& group) {
  if (fs::exists(group / "freezer.state")) std::ofstream(group / "freezer.state") << "THAWED";
  if (fs::exists(group / "cgroup.freeze")) std::ofstream(group / "cgroup.freeze") << "0";
}

void kill_members(const fs::path& group) {
  std::ifstream members(group / "cgroup.procs");
  for (pid_t pid; members >> pid;) {
    if (pid > 0) kill(pid, SIGKILL);
  }
}

bool remove_tree(const fs::path& group) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(group, ignored)) {
    if (entry.is_directory(ignored)) remove_tree(entry.path());
  }
  thaw(group);
  kill_members(group);
  return rmdir(group.c_str()) == 0 || !fs::exists(group, ignored);
}

// The cgroups below a cgroup whose names begin with `prefix`, children before parents.
void add_below(const fs::path& group, const std::string& prefix, std::vector<fs::path>& found) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(group, ignored)) {
    if (!entry.is_directory(ignored)) continue;
    if (entry.path().filename().string().rfind(prefix, 0) != 0) continue;
    found.push_back(entry.path());
    add_below(entry.path(), "", found);
  }
}

}  // namespace

bool may_make_cgroups() {
  for (const fs::path& hierarchy : hierarchies())
    if (::access(hierarchy.c_str(), W_OK) == 0) return true;
  return false;
}

std::vector<fs::path> cgroups_named(const std::string& name) {
  std::vector<fs::path> found;
  for (const fs::path& hierarchy : hierarchies()) {
    if (fs::is_directory(hierarchy / name)) found.push_back(hierarchy / name);
  }
  return found;
}

std::vector<fs::path> cgroups_of_containers(const std::string& containerd_namespace) {
  std::vector<fs::path> found;
  for (const fs::path& group : cgroups_named(containerd_namespace)) add_below(group, "", found);
  for (const fs::path& slice : cgroups_named("system.slice"))
    add_below(slice, containerd_namespace + "-", found);
  return found;
}

bool systemd_makes_cgroups() {
  const char* driver = std::getenv("THINSHIM_TEST_CGROUP_DRIVER");
  return driver != nullptr && driver == std::string("systemd");
}

void remove_cgroups_that_begin_with(const std::string& prefix) {
  for (const fs::path& hierarchy : hierarchies()) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(hierarchy, ignored)) {
      if (entry.path().filename().string().rfind(prefix, 0) != 0) continue;
      eventually([&] { return remove_tree(entry.path()); }, std::chrono::seconds(5));
    }
  }
}

}  // namespace thinshim::test
