// SPDX-License-Identifier: Apache-2.0
// Whoever shares a shim is known without its own bundle: the first bundle of the group, in which
// the shim works, holds a file ID.member for each other container, from before it can run until it
// is deleted.
//
// containerd 2.3 and later removes the bundles of a pod's containers within milliseconds of the
// shim's death, and calls `delete` once, for the pod's first container (containerd issues 9727,
// 10727): what that must know of the others stands here. The file is ours alone; its fields are
// separated by zero bytes, which no path holds, in the order below, and readers pass over what
// stands behind them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "oci/runtime.h"

namespace thinshim {

struct GroupMember {
  std::string id;
  std::string bundle;             // its path
  Runtime::Settings runtime;      // binary, root and systemd_cgroup
  std::string cgroups_path = {};  // of config.json
  std::string root_path = {};     // likewise; absolute

  // In place of what stands there of this id. Throws Error.
  void write_to(const std::string& first_bundle) const;
};

// Does nothing where nothing stands there. Throws Error.
void remove_member(const std::string& first_bundle, const std::string& id);

// Of whom a bundle holds a record; nobody where it is gone. Throws Error.
std::vector<std::string> member_ids(const std::string& first_bundle);
// Nothing where there is no such record. Throws Error, also where the file is none of ours.
std::optional<GroupMember> read_member(const std::string& first_bundle, const std::string& id);

}  // namespace thinshim
