// SPDX-License-Identifier: Apache-2.0
// Which version of the Task API was given out for a shim. Whoever has it from an earlier `start`
// goes by it, so that later ones must say the same (containerd issue 10888).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace thinshim {

inline constexpr int kLegacyVersion = 2;     // what a bare address means to containerd
inline constexpr int kBootstrapVersion = 3;  // what a BootstrapResult says

// What the word of a server's command line begins with where others see it: "-task-api=3".
inline constexpr char kVersionFlag[] = "-task-api=";

// What containerd 2 has written down for the shim of a bundle, in bootstrap.json; nothing where it
// has not. Throws Error where that cannot be read.
std::optional<int> recorded_version(const std::string& bundle);

// What the command line of a server says, its words ended by zero bytes; nothing where it is not
// ours.
std::optional<int> version_in(std::string_view command_line);

// Of a shim that lives; nothing where its pid is 0, because it is unknown. A stock shim does not
// show it, but runs in the bundle of its first container. Throws Error where that cannot be read.
std::optional<int> version_of_shim(int pid);

}  // namespace thinshim
