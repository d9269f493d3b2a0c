// SPDX-License-Identifier: Apache-2.0
// The flag `-info`: describes this shim and its OCI runtime. containerd 2.0 and later call it at
// their start (CRI), and before they create a container that needs idmapped mounts.
#pragma once

#include <string>

#include "shim/arguments.h"

namespace thinshim {

// `input` is an Any with runtime options, or empty. Returns a containerd.types.RuntimeInfo with
// these options and with what `RUNTIME features` prints; without features if the runtime has no
// such command (crun before 1.8.6, runc 1.0). Throws Error if the options are invalid or the
// runtime does not exist.
std::string runtime_info(const Arguments& arguments, const std::string& input,
                         const std::string& version);

}  // namespace thinshim
