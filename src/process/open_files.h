// SPDX-License-Identifier: Apache-2.0
// How many files this process may have open (RLIMIT_NOFILE): a shim of many processes with three
// streams each needs more than the 1,024 that systemd gives; programs that use select(2) must not
// have more (systemd, NEWS of 240), and what a container has is its own business.
#pragma once

#include <sys/resource.h>

namespace thinshim {

// Raises the soft limit to the hard one; leaves it as it is where the kernel refuses. Programs that
// are started afterwards (command.h) have the old one.
void raise_open_files_limit();

// What the programs get; null where they get ours. Stays where it is.
const rlimit* open_files_limit_of_programs();

}  // namespace thinshim
