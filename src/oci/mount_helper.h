// SPDX-License-Identifier: Apache-2.0
// Programs that mount for us (mount.fuse3), and the proof that no mounting is under way any more.
//
// Whoever gives up a mount kills the process that makes it. A helper, and what it has started,
// must not outlive that: it would mount later, on the root file system of a container that does
// not exist. A process in between sees to it; the daemon that a helper leaves behind when it is
// done is no business of that process.
#pragma once

#include <string>

#include "base/fd.h"
#include "process/command.h"

namespace thinshim {

// Runs the helper to its end and returns its status, as waitpid(2) gives it. Where this process is
// killed meanwhile, the helper and all its descendants are killed too (those that made themselves
// daemons included, where the kernel lists children: CONFIG_PROC_CHILDREN). For a process without
// other threads. Throws Error where the helper cannot be started.
int run_mount_helper(const Command& command);

// As long as it is open, here or in a fork, mounts are being made beside `rootfs`: flock(2) on the
// directory in which it lies. Throws Error where that cannot be opened.
Fd begin_mounting(const std::string& rootfs);

// Waits until nobody mounts there, for at most two and a half seconds: whether that is so. A
// process that mounts in vain keeps its lock while the kernel does not let it go.
bool wait_for_mounting(const std::string& rootfs);

}  // namespace thinshim
