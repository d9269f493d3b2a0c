// SPDX-License-Identifier: Apache-2.0
// Paths in a root file system that is not trusted.
#pragma once

#include <string>

#include "base/fd.h"

namespace thinshim {

// Opens `path` (O_PATH) with every link in it resolved as if the directory `root` were the root:
// neither ".." nor a link leads out of it, also while somebody renames what is in there. Mounts are
// crossed, and a link of procfs is taken by its text. Goes step by step, on every kernel: what
// openat2(2) does with RESOLVE_IN_ROOT came with Linux 5.6. Throws Error "WHAT: reason".
Fd open_in_root(const Fd& root, const std::string& path, const std::string& what);

}  // namespace thinshim
