// SPDX-License-Identifier: Apache-2.0
// The action `delete`: cleans up what a shim left of a container.
//
// containerd calls it after every deletion, after a crash of the shim, and when it cannot reach a
// shim after its own restart; people call it by hand. It may find all of a container or nothing,
// and may be called again. Where nothing is left it starts no runtime; one whose layout is unknown
// (oci/runtime.h: nvidia-container-runtime, gVisor's runsc) is asked in any case, which costs its
// start once more for each deletion.
#pragma once

#include <string>

#include "shim/arguments.h"

namespace thinshim {

// Kills the container, and removes the runtime's state of it, its root file system's mounts, the
// pid files of its execs, and the socket, if nobody listens there. When the shim of a whole group
// is proven gone, the same is done for the others of its group where containerd asks for the
// sandbox only (containerd issues 9727, 10727), whether their bundles are still there or not. What
// fails is told on stderr and does not stop the rest. Where something is left, what a shim that has
// been killed had begun is waited for first; all waiting together, but for the runtime, takes no
// more than 3 s.
//
// Throws Error in the end where a container that was to go may still be there: with that containerd
// keeps the bundle, and asks again when it starts the next time.
//
// Returns the DeleteResponse for stdout: the pid of init.pid, 0 where there is none, and the exit
// that the shim has told of it; status 137 and now where it has not, or where the bundle is gone.
std::string remove_container(const Arguments& arguments);

}  // namespace thinshim
