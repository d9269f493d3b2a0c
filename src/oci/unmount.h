// SPDX-License-Identifier: Apache-2.0
// Taking mounts off a directory. Blocking calls (an unmount may hang for as long as its file system
// does): the server runs them in a fork (process/run.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

// Takes everything off that is mounted on `target` or below it, stacks of mounts included, as
// containerd's mount.UnmountRecursive. What is not mounted, or not there, is done already. Busy
// mounts are tried again for two and a half seconds in all. `flags` are those of umount2(2),
// MNT_DETACH or 0; UMOUNT_NOFOLLOW is always added, so a link in the place of `target` is left
// alone.
//
// Tries all, then throws the first failure: Error "failed to unmount target PATH: reason".
void unmount_recursive(const std::string& target, int flags = 0);

// Takes one mount off `path`, the topmost; false where nothing is mounted there. Busy is tried
// again as above; other failures throw as above.
bool unmount_once(const std::string& path, int flags = 0);

// Of a /proc/PID/mountinfo (proc_pid_mountinfo(5)): where something is mounted at and below
// `directory`, once for each mount and the last mounted first. In that order they come off: a mount
// can stand on, below or in front of earlier ones only.
std::vector<std::string> mount_points_below(std::string_view mountinfo, std::string_view directory);

}  // namespace thinshim
