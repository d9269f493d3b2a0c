// SPDX-License-Identifier: Apache-2.0
// The serving process: which plugins it is made of, how it begins and ends.
#pragma once

#include <string>
#include <vector>

#include "shim/arguments.h"

namespace thinshim {

// Whether the plugins work together without those that the configuration disables, and something is
// served then. Throws Error: the server itself could tell nobody.
void check_plugins(const std::vector<std::string>& disabled);

// Where `start` leaves the server's socket.
inline constexpr int kListenerFd = 3;

// Serves on kListenerFd, a listening socket, or where the flag -socket says, in the bundle that is
// its working directory, until the end is asked for. Throws Error where it cannot begin. In either
// case its socket is removed.
void serve(const Arguments& arguments);

}  // namespace thinshim
