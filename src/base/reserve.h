// SPDX-License-Identifier: Apache-2.0
// Out of memory: malloc(3) fails because of a limit (setrlimit(2), RLIMIT_AS and RLIMIT_DATA) or of
// strict overcommit (vm.overcommit_memory).
//
// An allocation failure while the shim handles an exit would lose that exit. So operator new never
// throws: it frees a reserve and tries again. While the reserve is used up, the shim refuses new
// requests. If memory is still short, the shim exits with status 1; containerd notices that and
// cleans up.
#pragma once

namespace thinshim {

// Installs the new-handler and maps the reserve: address space that is never touched, so it uses no
// memory.
void reserve_memory();

// Whether the reserve is there; maps it again if it was used up. New requests need it.
bool has_reserved_memory() noexcept;

}  // namespace thinshim
