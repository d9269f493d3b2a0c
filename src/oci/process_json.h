// SPDX-License-Identifier: Apache-2.0
// The OCI process of an exec, as the client sent it (runtime-spec, config.md, "process").
#pragma once

#include <string>

namespace thinshim {

// The same JSON with `terminal` set. Throws Error invalid_argument where it is no JSON object.
std::string with_terminal(const std::string& process, bool terminal);

}  // namespace thinshim
