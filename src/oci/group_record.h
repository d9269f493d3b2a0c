// SPDX-License-Identifier: Apache-2.0
// The other containers of a shim that serves a group. The first bundle of the group, the shim's
// working directory, holds a file ID.member for each of them, written before the container can run
// and removed when it is deleted.
//
// containerd 2.3 and later removes the bundles of a pod's containers within milliseconds of the
// shim's death, and calls `delete` only for the pod's first container (containerd issues 9727,
// 10727). `delete` reads these files to clean up the others. The format is thinshim's own: the
// fields below in order, each ended by a NUL byte; readers ignore what follows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "oci/runtime.h"

namespace thinshim {

struct GroupMember {
  std::string id;
  std::string bundle;             // path
  Runtime::Settings runtime;      // only binary, root and systemd_cgroup
  std::string cgroups_path = {};  // from config.json
  std::string root_path = {};     // from config.json; absolute

  // Replaces the record of this id. Throws Error.
  void write_to(const std::string& first_bundle) const;
};

// Does nothing where there is no record. Throws Error.
void remove_member(const std::string& first_bundle, const std::string& id);

// The ids of all records in a bundle; empty where the bundle does not exist. Throws Error.
std::vector<std::string> member_ids(const std::string& first_bundle);
// Nothing where there is no record. Throws Error, also where the file is not a record.
std::optional<GroupMember> read_member(const std::string& first_bundle, const std::string& id);

}  // namespace thinshim
