// SPDX-License-Identifier: Apache-2.0
// A container's root file system, put together from the mounts that containerd lists in Create, as
// its core/mount/mount_linux.go does: overlay, bind, tmpfs, block devices and images (loop), FUSE
// (mount.fuse, mount.fuse3), with mapped owners where a user namespace wants them.
//
// Blocking calls that may hang, change the working directory for a moment and have children: the
// server runs them in a fork (process/run.h).
#pragma once

#include <mount.pb.h>

#include <string>

namespace thinshim {

using MountList = google::protobuf::RepeatedPtrField<containerd::types::Mount>;

// Mounts all of them in order, each on `rootfs` (absolute; made with mode 0711 where it is missing)
// or on the directory below it that its `target` names. Links in there never lead out of it, not
// even ones that are put there meanwhile; only FUSE's helpers are given a name and must see for
// themselves. None listed: nothing is done.
//
// Where one fails, those before it are taken off again, last first, and Error "failed to mount
// rootfs component: mount source: ..., err: reason" is thrown, containerd's words.
void mount_all(const MountList& mounts, const std::string& rootfs);

// Takes them off again, as unmount_recursive() does, and what a mount_all() that was killed has
// left beside `rootfs`. Waits first until one that was killed is over (oci/mount_helper.h). Throws
// Error where it is not: then it may still mount something.
void unmount_all(const std::string& rootfs);

}  // namespace thinshim
