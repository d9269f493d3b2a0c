// SPDX-License-Identifier: Apache-2.0
// A configuration file that a request names (ConfigPath), read beside the loop: it may lie on a
// file system that hangs.
#pragma once

#include <string>

#include "process/reaper.h"
#include "shim/config.h"

namespace thinshim {

// What load_config(path) returns or throws. Throws Error "config file PATH: timed out"
// where the file is not read within `limit`, and some other where `stop`, which may be null, is
// set before.
Task<Config> load_config_beside(Reaper& reaper, std::string path, Event* stop,
                                Duration limit = std::chrono::seconds(10));

}  // namespace thinshim
