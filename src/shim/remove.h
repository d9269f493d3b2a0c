// SPDX-License-Identifier: Apache-2.0
// The action `delete`: cleans up what a shim left of a container.
//
// containerd calls it after every deletion, after a crash of the shim, and when it cannot reach a
// shim after its own restart; an operator may call it by hand. It may be called again, and may find
// a whole container or nothing. If nothing is left it does not run the runtime, unless the layout
// of the runtime's state is unknown (oci/runtime.h: nvidia-container-runtime, gVisor's runsc): then
// each deletion runs the runtime once more.
#pragma once

#include <string>

#include "shim/arguments.h"

namespace thinshim {

// Kills the container, and removes the runtime's state, the mounts of its root file system, the pid
// files of its execs, and the socket if no process listens on it. If the shim of a group is proven
// gone, it does the same for the group's other containers, whether or not their bundles exist,
// under a containerd that calls `delete` only for the sandbox (containerd issues 9727, 10727). If
// something is left, it first waits for the runtimes and helpers of the killed shim. A step that
// fails warns on stderr and does not stop the others. All waits but that for the runtime take 3 s
// together at most.
//
// Throws Error at the end if a container may still exist: containerd then keeps the bundle, and
// calls `delete` again at its next start.
//
// Returns the DeleteResponse for stdout: the pid in init.pid, 0 if there is none, and the exit that
// the shim has recorded in the bundle; if there is none, status 137 and the present time.
std::string remove_container(const Arguments& arguments);

}  // namespace thinshim
