// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace thinshim::test {

// The directory of this name at the top of each cgroup hierarchy where it exists: one per
// controller with cgroup v1 and one more with a hybrid, a single one with v2.
std::vector<std::filesystem::path> cgroups_named(const std::string& name);

// Whether this user may create cgroups.
bool may_make_cgroups();

// The cgroups of all containers of a containerd namespace, and those below them.
std::vector<std::filesystem::path> cgroups_of_containers(const std::string& containerd_namespace);

// Whether the project's own client has its containers' cgroups made by systemd, as their scopes:
// $THINSHIM_TEST_CGROUP_DRIVER is "systemd".
bool systemd_makes_cgroups();

// Removes the cgroups whose names begin with `prefix` at the top of each hierarchy, with all below,
// and kills their processes.
void remove_cgroups_that_begin_with(const std::string& prefix);

}  // namespace thinshim::test
