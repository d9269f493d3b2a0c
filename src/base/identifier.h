// SPDX-License-Identifier: Apache-2.0
// Checks of names and texts that become part of a path: namespaces, container ids, exec ids.
#pragma once

#include <string>
#include <string_view>

namespace thinshim {

// containerd's rule (its package identifiers, 1.6 to main): 1 to 76 characters, letters and digits
// with a single '.', '_' or '-' between them. Refuses '/' and "..".
bool is_identifier(std::string_view name);

// Throws Error invalid_argument if `name` is not an identifier. `what` names it: "namespace".
void check_identifier(std::string_view name, const std::string& what);

// Throws Error invalid_argument `WHAT: "TEXT" contains a NUL byte`, which would truncate a path or
// an argument.
void check_no_nul(std::string_view text, const std::string& what);

}  // namespace thinshim
