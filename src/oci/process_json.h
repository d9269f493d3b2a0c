// SPDX-License-Identifier: Apache-2.0
// The OCI process of an exec, as the client sent it (runtime-spec, config.md, "process").
#pragma once

#include <string>

namespace thinshim {

// The same JSON, sparse (oci/sparse_json.h), with `terminal` set. Throws Error invalid_argument
// where it is no JSON object.
std::string with_terminal(const std::string& process, bool terminal);
// Likewise with `consoleSize`, in characters.
std::string with_console_size(const std::string& process, unsigned width, unsigned height);

}  // namespace thinshim
