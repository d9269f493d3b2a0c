// SPDX-License-Identifier: Apache-2.0
// What a container uses, as Stats answers it: io.containerd.cgroups.v1.Metrics or v2.Metrics, with
// every field that the stock shim fills (containerd/cgroups v1.0.4 to v3.1.3).
//
// A file that the kernel does not have leaves its fields at zero, and so does a group that is gone,
// as with the stock shim. Where that stops at the first file missing (v1 without swap accounting:
// no kmem), this one goes on.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "cgroup/cgroup.h"
#include "cgroup/stats_v1.h"
#include "cgroup/stats_v2.h"

namespace thinshim {

class StatsReader {
 public:
  // Opens the group's directories (seven with v1 at most, one with v2) and keeps them.
  explicit StatsReader(const Cgroup& group);

  // The name of the message, which is its type URL too.
  std::string type() const;
  // The message as it goes over the wire. Reads a few dozen small files, about half a millisecond.
  std::string read() const;

 private:
  std::variant<v1::Files, v2::Files> files_;
};

}  // namespace thinshim
