// SPDX-License-Identifier: Apache-2.0
// Mounts a container's root file system from the list in Create, as containerd's
// core/mount/mount_linux.go: overlay, bind, tmpfs, block devices, images (loop) and FUSE
// (mount.fuse, mount.fuse3), ID-mapped for user namespaces.
//
// The calls block and may hang, start child processes and change the working directory temporarily:
// run them in a fork (process/run.h).
#pragma once

#include <mount.pb.h>

#include <chrono>
#include <string>

namespace thinshim {

using MountList = google::protobuf::RepeatedPtrField<containerd::types::Mount>;

// Mounts all of them in order, each on `rootfs` (absolute; created with mode 0711 where it is
// missing) or on its `target` below it. Symbolic links do not lead out of `rootfs`, even if created
// during the mount; but FUSE helpers get a path and resolve it themselves. An empty list does
// nothing.
//
// If a mount fails, unmounts the earlier ones in reverse order and throws Error "failed to mount
// rootfs component: mount source: ..., err: reason", containerd's text.
void mount_all(const MountList& mounts, const std::string& rootfs);

// Unmounts `rootfs` as unmount_recursive(), and the temporary mounts that a killed mount_all() left
// beside it. First waits until a killed mount_all() has exited (oci/mount_helper.h), up to `limit`.
// Throws Error on timeout: that process may still mount something.
void unmount_all(const std::string& rootfs,
                 std::chrono::milliseconds limit = std::chrono::milliseconds(2500));

}  // namespace thinshim
