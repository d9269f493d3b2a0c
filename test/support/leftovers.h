// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "support/eventually.h"

namespace thinshim::test {

// Finds what containers have left behind: processes (zombies too), mounts, sockets of shims, runc's
// state, cgroups, bundles. Compares the state of the machine with that at construction.
//
// Meant for use inside run_in_own_namespaces(), where all of it is the tests' own. Not counted: the
// directories that runc and containerd make for a containerd namespace and never remove (the cgroup
// /NAMESPACE, the empty /run/containerd/runc/NAMESPACE, the empty bundle directory), and fifos,
// which are the client's.
class Leftovers {
 public:
  // `directories`: more places that must have the same entries afterwards; they need not exist.
  explicit Leftovers(std::string containerd_namespace,
                     std::vector<std::filesystem::path> directories = {});

  // What is there now and was not at the beginning, one line each; waits up to `limit` until
  // nothing is left. `expected`: processes that may be there, such as a restarted containerd.
  std::set<std::string> after(const std::set<pid_t>& expected = {},
                              Duration limit = std::chrono::seconds(10) * slowness()) const;

 private:
  std::set<std::string> traces(const std::set<pid_t>& expected) const;

  std::string namespace_;
  std::vector<std::filesystem::path> directories_;
  std::set<std::string> before_;
};

}  // namespace thinshim::test
