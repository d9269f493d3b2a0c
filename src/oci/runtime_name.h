// SPDX-License-Identifier: Apache-2.0
// Recognizes runtimes by the name of their program.
#pragma once

#include <string_view>

namespace thinshim {

// Whether the base name of `program`, a name or a path, matches `pattern` (fnmatch(3); "runc" is
// one). A version may follow (runc-1.5.3, crun_1.28, youki-v0.7.0), and "docker-" may precede, as
// in old versions of Docker. Any other suffix does not match: runc-wrapper is not runc.
bool is_runtime(std::string_view program, std::string_view pattern);

}  // namespace thinshim
