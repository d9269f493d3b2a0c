// SPDX-License-Identifier: Apache-2.0
// The processes of a shim, found from without: `delete` needs to know of those that a killed shim
// had begun, and whether the shim itself is among the living.
//
// A shim works in the first bundle of its group, as do its helpers; the runtimes that it starts
// work there or in the bundle of a container. Directories are compared by name: what they lead to
// may be on a file system that hangs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace thinshim {

// The pause between two looks at what is about to end, in microseconds.
inline constexpr useconds_t kBetweenLooks = 5000;

// What belongs together: the bundles of the shim at `address`, which lie beside `bundle`. An empty
// address stands for all that lie there.
struct ShimPlace {
  std::string address;
  std::string bundle;
};

// A shim that is killed closes its socket first, which calls `delete`, and only at its very end has
// the kernel kill the runtime and the helpers that it has started: what they still do would be done
// behind our back. Those whose bundle says nothing of a shim, because it was removed, are waited
// for whosever they are, and so is an answer of the system's. Throws Error where they are not gone,
// or there is none, by then.
void wait_for_the_dying(const ShimPlace& place, std::chrono::steady_clock::time_point end);

// Whether a thinshim serves there that nobody has sent a signal to die. One whose bundle says
// nothing of a shim is known by the socket that it listens on. Throws Error where it cannot be
// told.
bool has_living_server(const ShimPlace& place);

// Kills the process where it makes the container of this bundle, whose root file system is `root`,
// or is what will become its first process. One that cannot be looked at is left.
void end_what_works_for(const std::string& bundle, const std::string& root, pid_t pid);

}  // namespace thinshim
