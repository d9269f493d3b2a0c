// SPDX-License-Identifier: Apache-2.0
// The serving process: its plugins, its start and its exit.
#pragma once

#include <string>
#include <vector>

#include "shim/arguments.h"

namespace thinshim {

// Throws Error unless all needs of the enabled plugins are met and one of them is a service.
// `start` calls it, because the server has no caller to report an error to.
void check_plugins(const std::vector<std::string>& disabled);

// The descriptor on which `start` passes the listening socket to the server.
inline constexpr int kListenerFd = 3;

// Serves on kListenerFd, or on the path of the flag -socket, until shutdown is requested. The
// working directory is the bundle. Throws Error if it cannot start. Removes its socket in any case.
void serve(const Arguments& arguments);

}  // namespace thinshim
