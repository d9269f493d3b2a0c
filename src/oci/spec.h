// SPDX-License-Identifier: Apache-2.0
// The fields of a bundle's config.json that the shim reads
// (https://github.com/opencontainers/runtime-spec, config.md and config-linux.md).
//
// Two functions: `start` needs only the group, and stops reading behind the annotations. containerd
// writes them before linux, whose seccomp profile is most of the file. The server's Create needs
// the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace thinshim {

// The group, whose containers share one shim: annotation io.containerd.runc.v2.group, else
// io.kubernetes.cri.sandbox-id, else nothing (the container has its own shim). An empty annotation
// is a group with an empty name, as in the stock shim.
//
// Of equal keys the last one is used, as in Go; of several "annotations" the first (Go merges
// them). Throws Error where the file is missing, is not JSON up to the end of the annotations, or
// has an annotation that is not a string (null is an empty string).
std::optional<std::string> group_of(const std::string& config_path);

struct ContainerSpec {
  // The container gets a new pid namespace and does not join one by path. The kernel then kills its
  // processes when init exits; else the shim must.
  bool own_pid_namespace = false;
  // The host's ids of the container's root, with a user namespace.
  std::optional<std::uint32_t> root_uid;
  std::optional<std::uint32_t> root_gid;
  std::string cgroups_path;  // empty: the runtime chooses
  std::string root_path;     // of the root file system; relative to the bundle, or absolute
};

// Throws Error where the file is missing, is not JSON, or has a field of another type.
ContainerSpec read_container_spec(const std::string& config_path);

}  // namespace thinshim
