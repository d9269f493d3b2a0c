// SPDX-License-Identifier: Apache-2.0
// RLIMIT_NOFILE. A shim with many processes of three streams each needs more than the 1,024 files
// that systemd allows by default. The programs that it starts keep the old limit: select(2) fails
// above 1,024 (systemd, NEWS of 240), and containers must not inherit the shim's limit.
#pragma once

#include <sys/resource.h>

namespace thinshim {

// Raises the soft limit to the hard limit; no effect if setrlimit(2) fails. Programs that are
// started afterwards (command.h) get the old one.
void raise_open_files_limit();

// The limit for started programs; null: they inherit the current one. The pointer stays valid.
const rlimit* open_files_limit_of_programs();

}  // namespace thinshim
