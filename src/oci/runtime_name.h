// SPDX-License-Identifier: Apache-2.0
// What a runtime is, by the name of its program: the one place that knows of versions in it.
#pragma once

#include <string_view>

namespace thinshim {

// Whether a program, a name or a path, is the runtime of this name: its last part is of the pattern
// (fnmatch(3); "runc" is one), also with a version behind it (runc-1.5.3, crun_1.28, youki-v0.7.0)
// and as Docker once called its own (docker-runc). Anything else behind it makes it another:
// runc-wrapper is no runc.
bool is_runtime(std::string_view program, std::string_view pattern);

}  // namespace thinshim
