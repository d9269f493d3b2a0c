// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "support/eventually.h"

namespace thinshim::test {

// What running containers leaves traces in, read from the machine: processes (zombies too), mounts,
// the sockets of shims, runc's state, cgroups, bundles. Compares what there is with what there was.
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

  // What is there now and wasn't at the beginning, a line for each; waits for it to go away, until
  // `limit`. `expected` are processes that may be there all the same: a containerd that was started
  // again.
  std::set<std::string> after(const std::set<pid_t>& expected = {},
                              Duration limit = std::chrono::seconds(10) * slowness()) const;

 private:
  std::set<std::string> traces(const std::set<pid_t>& expected) const;

  std::string namespace_;
  std::vector<std::filesystem::path> directories_;
  std::set<std::string> before_;
};

}  // namespace thinshim::test
