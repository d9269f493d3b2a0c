// SPDX-License-Identifier: Apache-2.0
// Paths in an untrusted root file system.
#pragma once

#include <string>

#include "base/fd.h"

namespace thinshim {

// Opens `path` (O_PATH), resolving symbolic links as if `root` were the root directory. ".." and
// links do not lead out of `root`, even while another process renames files in it. Mounts are
// crossed; procfs links are resolved by their text. Works as openat2(2) with RESOLVE_IN_ROOT, but
// also before Linux 5.6. Throws Error "WHAT: reason".
Fd open_in_root(const Fd& root, const std::string& path, const std::string& what);

}  // namespace thinshim
