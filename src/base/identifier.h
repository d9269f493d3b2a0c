// SPDX-License-Identifier: Apache-2.0
// Names that become part of a path: namespaces, container ids, exec ids. And foreign texts that are
// paths.
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// containerd's rule (its package identifiers, 1.6 to main): 1 to 76 characters, letters and digits
// with a single '.', '_' or '-' between them. So neither '/' nor ".." ever passes.
bool is_identifier(std::string_view name);

// Throws Error invalid_argument where `name` is none; `what` says whose name it is: "namespace".
void check_identifier(std::string_view name, const std::string& what);

// For texts that become a path or an argument, which a NUL byte would cut short: what is done would
// not be what was asked for. Throws Error invalid_argument "WHAT: NUL byte in TEXT".
void check_whole(std::string_view text, const std::string& what);

}  // namespace thinshim
