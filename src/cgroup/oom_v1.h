// SPDX-License-Identifier: Apache-2.0
// OOM kills in a v1 cgroup (the kernel's Documentation/admin-guide/cgroup-v1/memory.rst, 10 and
// 2.5). The kernel signals an eventfd, registered in cgroup.event_control, when the cgroup or an
// ancestor is out of memory, just before the kill, and once more when the cgroup is removed.
// "oom_kill" in memory.oom_control counts the kills (since Linux 4.13), without those in
// descendants.
#pragma once

#include <memory>

#include "cgroup/oom.h"

namespace thinshim {

std::unique_ptr<OomWatch::Source> open_oom_v1(const Cgroup& group);

}  // namespace thinshim
