// SPDX-License-Identifier: Apache-2.0
// Mount helper programs (mount.fuse3), and a lock for waiting until no mount is in progress.
//
// A mount that times out or is cancelled is ended by killing the process that makes it. Its helper,
// and what the helper has started, must be killed too: they would mount later, on the root file
// system of a container that does not exist. A guard process between the two kills them. The daemon
// that a helper leaves behind after success keeps running.
#pragma once

#include <chrono>
#include <string>

#include "base/fd.h"
#include "process/command.h"

namespace thinshim {

// Runs the helper until it exits and returns its wait status (waitpid(2)). If this process is
// killed meanwhile, the helper and its descendants are killed (daemons among them only with
// CONFIG_PROC_CHILDREN). For a process without other threads. Throws Error where the helper cannot
// be started.
int run_mount_helper(const Command& command);

// A shared lock (flock(2)) on the parent directory of `rootfs`, for a process that mounts there.
// Held until the descriptor is closed, here and in forks. Throws Error where the directory cannot
// be opened.
Fd lock_mounting(const std::string& rootfs);

// Waits until no process holds the lock. Throws Error after `limit` (a process that hangs in
// mount(2) keeps its lock, even when killed), and where the directory cannot be opened.
void wait_for_mounting(const std::string& rootfs, std::chrono::milliseconds limit);

}  // namespace thinshim
