// SPDX-License-Identifier: Apache-2.0
// What the shim itself needs to know of a bundle's config.json; all else is the runtime's business
// (https://github.com/opencontainers/runtime-spec, config.md and config-linux.md).
//
// Two readings, because they happen in two programs: `start` wants the group and is in a hurry
// (containerd writes annotations ahead of linux, whose seccomp profile is most of the file, so that
// most of it is never read), `create` wants the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace thinshim {

// The group whose containers share one shim: annotation io.containerd.runc.v2.group, else
// io.kubernetes.cri.sandbox-id, else nothing (the container is a group of its own). An empty
// annotation is a group with an empty name, as for the stock shim.
//
// Of equal keys the last one counts, as in Go; of several "annotations" the first (Go merges them).
// Throws Error where the file is missing, is no JSON up to the end of the annotations, or has an
// annotation that is no string (null is an empty string).
std::optional<std::string> group_of(const std::string& config_path);

struct ContainerSpec {
  // Whether the kernel kills the container's processes when its init exits: a pid namespace that is
  // made for it, not one that it joins by path. Where it has none, the shim must kill them.
  bool own_pid_namespace = false;
  // The host's ids for root in the container, where a user namespace maps them.
  std::optional<std::uint32_t> root_uid;
  std::optional<std::uint32_t> root_gid;
  std::string cgroups_path;  // empty: the runtime chooses
  std::string root_path;     // of the root file system; a relative one is below the bundle
};

// Throws Error where the file is missing, is no JSON, or holds other types in these places.
ContainerSpec read_container_spec(const std::string& config_path);

}  // namespace thinshim
