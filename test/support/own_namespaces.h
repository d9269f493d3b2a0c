// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace thinshim::test {

// The environment of the tests.
struct World {
  std::filesystem::path directory;  // a tmpfs, so that overlayfs works in it
  std::string name;                 // unique; containerd namespaces, and so cgroups, begin with it
};

// Runs `body` in a process with mount and pid namespaces of its own and returns its result. That
// makes "nothing is left" exact: whatever process, mount, socket or runc state is seen inside comes
// from the tests, even when other tests or a containerd of the machine run at the same time. And
// whichever way the tests end, also by a signal or a time limit, everything that they started ends
// with them, and their cgroups are removed.
// - /run/containerd is an empty tmpfs inside (the places of shim sockets, fifos and runc's state
// are compiled in).
// - Process 1 reaps orphans.
// Works in a chroot too. Needs root; fails without it.
//
// If systemd_makes_cgroups() there is no pid namespace, because systemd gets pids: only for a
// machine that does nothing else and ends with the tests.
int run_in_own_namespaces(const std::function<int(const World&)>& body);

// After a failed test: kills all processes that it has started.
void end_everybody_else();

}  // namespace thinshim::test
