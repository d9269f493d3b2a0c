// SPDX-License-Identifier: Apache-2.0
// Kills in a v2 group (the kernel's Documentation/admin-guide/cgroup-v2.rst, memory.events): the
// file counts the kills of the group and of those below it, and poll(2) tells with POLLPRI that it
// has changed since it was read. (inotify would do as well, but a user may have 128 instances of it
// only.)
//
// systemd removes a scope as soon as it is empty, which may be before anybody has read why it is.
// The kill is counted in the groups above too; so the counter of the slice in which the scope was
// answers for one that is gone. It is read, and not watched: the kernel tells it of all that
// happens to the others in the slice, a container at its limit does so a hundred times a second,
// and each shim beside it would wake. So it answers for the last look only, and only where the
// process died of a signal SIGKILL of which nobody knows.
#pragma once

#include <memory>
#include <string>

#include "cgroup/oom.h"

namespace thinshim {

std::unique_ptr<OomWatch::Source> open_oom_v2(const Cgroup& group);

// The group above that outlives this one: the next that is no scope.
std::string lasting_group_above(const std::string& directory);

}  // namespace thinshim
