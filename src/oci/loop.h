// SPDX-License-Identifier: Apache-2.0
// A loop device for a file, so that the file system in it can be mounted (loop(4)).
#pragma once

#include <string>

#include "base/fd.h"

namespace thinshim {

// The device goes away by itself when it is neither open nor mounted any more.
struct LoopDevice {
  Fd fd;
  std::string path;
};

// Throws Error. `direct_io`: past the page cache, where the file can.
LoopDevice attach_loop(const std::string& file, bool read_only, bool direct_io);

}  // namespace thinshim
