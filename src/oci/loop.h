// SPDX-License-Identifier: Apache-2.0
// Loop devices (loop(4)), for mounting the file system in a file.
#pragma once

#include <string>

#include "base/fd.h"

namespace thinshim {

// The kernel detaches the device once it is neither open nor mounted (LO_FLAGS_AUTOCLEAR).
struct LoopDevice {
  Fd fd;
  std::string path;
};

// `direct_io`: bypass the page cache. Throws Error.
LoopDevice attach_loop(const std::string& file, bool read_only, bool direct_io);

}  // namespace thinshim
