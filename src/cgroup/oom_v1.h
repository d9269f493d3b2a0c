// SPDX-License-Identifier: Apache-2.0
// Kills in a v1 group (the kernel's Documentation/admin-guide/cgroup-v1/memory.rst, 10 and 2.5):
// an eventfd that is registered in cgroup.event_control is raised when the group, or one above it,
// has run out of memory, just before a process is killed, and once more when the group is removed.
// The kills are counted in the "oom_kill" of memory.oom_control (from kernel 4.13 on), for each
// group by itself.
#pragma once

#include <memory>

#include "cgroup/oom.h"

namespace thinshim {

std::unique_ptr<OomWatch::Source> open_oom_v1(const Cgroup& group);

}  // namespace thinshim
