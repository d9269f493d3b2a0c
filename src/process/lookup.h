// SPDX-License-Identifier: Apache-2.0
// Looks a path up that a client names, before the shim opens it: on a file system that hangs (FUSE,
// or NFS without its server) open(2) and stat(2) never return, and would block the loop.
#pragma once

#include <chrono>
#include <string>

#include "process/reaper.h"

namespace thinshim {

// Returns once stat(2) of the path has returned in a forked child, whether or not the path exists.
// Throws Error "open PATH: timed out after 10s" after `limit`, and another Error when `stop` is
// set. Paths in /run, /var/run and /dev are not looked up: these are in memory, and nearly all
// paths are there, so that a process costs no fork.
Task<> look_up(Reaper& reaper, std::string path, Event* stop = nullptr,
               Duration limit = std::chrono::seconds(10));

}  // namespace thinshim
