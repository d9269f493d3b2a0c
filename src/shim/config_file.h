// SPDX-License-Identifier: Apache-2.0
// Reads the configuration file that a request names (ConfigPath) in a forked child, because its
// file system may hang.
#pragma once

#include <string>

#include "process/reaper.h"
#include "shim/config.h"

namespace thinshim {

// Like load_config(path). Throws Error "config file PATH: timed out after 10s" after `limit`, and
// another Error when `stop`, which may be null, is set.
Task<Config> load_config_in_fork(Reaper& reaper, std::string path, Event* stop,
                                 Duration limit = std::chrono::seconds(10));

}  // namespace thinshim
