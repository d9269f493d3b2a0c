// SPDX-License-Identifier: Apache-2.0
// The version of the Task API that the first `start` returned for a shim. Its clients use this
// version, so each later `start` must return the same (containerd issue 10888).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace thinshim {

inline constexpr int kLegacyVersion = 2;     // what a bare address means to containerd
inline constexpr int kBootstrapVersion = 3;  // what a BootstrapResult says

// The word "-task-api=3" in the command line of a server shows its version.
inline constexpr char kVersionFlag[] = "-task-api=";

// The version in bootstrap.json, which containerd 2 writes to the bundle; nothing if there is no
// such file. Throws Error if it cannot be read.
std::optional<int> recorded_version(const std::string& bundle);

// The version in a command line, whose words end with NUL; nothing if it is not a thinshim
// server's.
std::optional<int> version_in(std::string_view command_line);

// The version of a running shim; nothing if `pid` is 0 (unknown). A stock shim does not show it in
// its command line, but its working directory is the bundle of its first container. Throws Error if
// that cannot be read.
std::optional<int> version_of_shim(int pid);

}  // namespace thinshim
