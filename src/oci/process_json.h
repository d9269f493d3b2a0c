// SPDX-License-Identifier: Apache-2.0
// Changes the OCI process of an exec (runtime-spec, config.md, "process").
#pragma once

#include <string>

namespace thinshim {

// `process` as sparse_json() returns it, with `terminal` set. Throws Error invalid_argument where
// it is not a JSON object.
std::string with_terminal(const std::string& process, bool terminal);
// The same with `consoleSize` set, in characters.
std::string with_console_size(const std::string& process, unsigned width, unsigned height);

}  // namespace thinshim
