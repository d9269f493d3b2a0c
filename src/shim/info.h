// SPDX-License-Identifier: Apache-2.0
// The flag `-info`: what this shim and its OCI runtime are. containerd 2.0 and later ask at their
// start (CRI), and before they make a container that needs idmapped mounts.
#pragma once

#include <string>

#include "shim/arguments.h"

namespace thinshim {

// `input` is an Any with runtime options, or empty. Returns a containerd.types.RuntimeInfo, with
// the options as they came and with what the runtime prints for `features`; a runtime that has no
// such command (crun before 1.8.6, runc 1.0) goes without. Throws Error where the options are no
// good or there is no such runtime.
std::string runtime_info(const Arguments& arguments, const std::string& input,
                         const std::string& version);

}  // namespace thinshim
