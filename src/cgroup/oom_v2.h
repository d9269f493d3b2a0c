// SPDX-License-Identifier: Apache-2.0
// OOM kills in a v2 cgroup (the kernel's Documentation/admin-guide/cgroup-v2.rst, memory.events).
// The file counts the kills in the cgroup and its descendants; poll(2) reports POLLPRI when it has
// changed since the last read. (inotify works too, but a user may have only 128 instances.)
//
// systemd removes a scope as soon as it is empty, perhaps before the shim has read the counter. The
// ancestors count the kill too, so poll_last() reads the counter of the slice that contained the
// scope. The shim does not watch that counter: a container at its limit changes it a hundred times
// a second, which would wake every shim in the slice. It also counts kills in other containers, so
// it is used only where init was killed by a SIGKILL of unknown origin.
#pragma once

#include <memory>
#include <string>

#include "cgroup/oom.h"

namespace thinshim {

std::unique_ptr<OomWatch::Source> open_oom_v2(const Cgroup& group);

// The nearest ancestor that is not a scope.
std::string non_scope_ancestor(const std::string& directory);

}  // namespace thinshim
