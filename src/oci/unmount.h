// SPDX-License-Identifier: Apache-2.0
// Unmounts directories. The calls block, as long as the file system hangs: run them in a fork
// (process/run.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

// Unmounts everything on and below `target`, including stacked mounts, as containerd's
// mount.UnmountRecursive. Does nothing where `target` is not mounted or does not exist. Retries
// busy mounts for 2.5 s in all. `flags`: MNT_DETACH or 0 (umount2(2)). UMOUNT_NOFOLLOW is always
// added: a symbolic link at `target` is not followed.
//
// Tries all mounts, then throws the first failure: Error "failed to unmount target PATH: reason".
void unmount_recursive(const std::string& target, int flags = 0);

// Unmounts the topmost mount on `path`; false where nothing is mounted there. Retries and throws as
// above.
bool unmount_once(const std::string& path, int flags = 0);

// The mount points on and below `directory` in a /proc/PID/mountinfo (proc_pid_mountinfo(5)), one
// per mount, the last one mounted first. Unmounting in this order works: a mount covers only
// earlier ones.
std::vector<std::string> mount_points_below(std::string_view mountinfo, std::string_view directory);

}  // namespace thinshim
