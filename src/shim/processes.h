// SPDX-License-Identifier: Apache-2.0
// Finds the processes of a shim in /proc, for `delete`: the runtimes and helpers that a killed shim
// had started, and a shim that is still alive.
//
// The working directory of a shim and its helpers is the first bundle of its group; that of the
// runtimes which it starts is this one, or a container's bundle. Directories are compared by name,
// not opened: they may be on a file system that hangs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace thinshim {

// The pause between two looks at a process that is about to exit, in microseconds.
inline constexpr useconds_t kPollInterval = 5000;

// The bundles of one shim: those beside `bundle` whose file `address` names it. With an empty
// address, all bundles beside `bundle`.
struct ShimBundles {
  std::string address;
  std::string bundle;
};

// Waits until no dying process of the shim is left. When a shim is killed, the kernel first closes
// its socket, which makes containerd call `delete`, and only later kills the runtimes and helpers
// that the shim had started (PR_SET_PDEATHSIG): until then they may still change the container. A
// process whose bundle has no address any more, because it was removed, is waited for too. Throws
// Error if one is left at `end`, or /proc cannot be read until then.
void wait_for_dying_processes(const ShimBundles& bundles,
                              std::chrono::steady_clock::time_point end);

// Whether a thinshim serves in these bundles and is not being killed. One whose bundle has no
// address is recognised by the socket that it listens on. Throws Error if that cannot be found out.
bool has_living_server(const ShimBundles& bundles);

// Kills the process if it is the runtime that creates the container of this bundle, or will become
// the container's init. `root` is the container's root file system. A process that cannot be
// examined is left alone.
void kill_if_creating(const std::string& bundle, const std::string& root, pid_t pid);

}  // namespace thinshim
