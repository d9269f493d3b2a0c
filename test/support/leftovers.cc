// SPDX-License-Identifier: Apache-2.0
#include "support/leftovers.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "support/cgroups.h"
#include "support/processes.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

constexpr pid_t kKernel = 2;  // kthreadd

void add_entries(const fs::path& directory, std::set<std::string>& traces) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    // One for all shims, and one of crun's for all its containers: they remain.
    if (entry.path().filename() == ".lock" || entry.path().filename() == ".empty-directory")
      continue;
    traces.insert("entry " + entry.path().string());
  }
}

}  // namespace

Leftovers::Leftovers(std::string containerd_namespace, std::vector<fs::path> directories)
    : namespace_(std::move(containerd_namespace)), directories_(std::move(directories)) {
  directories_.emplace_back("/run/containerd/s");
  directories_.emplace_back("/run/containerd/runc/" + namespace_);
  before_ = traces({});
}

std::set<std::string> Leftovers::traces(const std::set<pid_t>& expected) const {
  std::set<std::string> traces;
  for (const Process& one : processes()) {
    if (one.pid == 1 || one.pid == getpid() || expected.count(one.pid) != 0) continue;
    // Kernel threads come and go; a pid namespace has none.
    if (systemd_makes_cgroups() && one.parent == kKernel) continue;
    traces.insert("process " + std::to_string(one.pid) + (one.state == 'Z' ? " (a zombie) " : " ") +
                  one.command());
  }
  // Mount ids are unique, so that a second mount at the same path is found.
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) traces.insert("mount " + line);
  for (const fs::path& directory : directories_) add_entries(directory, traces);
  for (const fs::path& group : cgroups_of_containers(namespace_))
    traces.insert("cgroup " + group.string());
  return traces;
}

std::set<std::string> Leftovers::after(const std::set<pid_t>& expected, Duration limit) const {
  std::set<std::string> left;
  eventually(
      [&] {
        const std::set<std::string> now = traces(expected);
        left.clear();
        std::set_difference(now.begin(), now.end(), before_.begin(), before_.end(),
                            std::inserter(left, left.end()));
        return left.empty();
      },
      limit);
  return left;
}

}  // namespace thinshim::test
