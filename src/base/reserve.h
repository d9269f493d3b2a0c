// SPDX-License-Identifier: Apache-2.0
// What becomes of a shim that gets no memory, because of a limit (setrlimit(2), RLIMIT_AS and
// RLIMIT_DATA) or of a kernel that promises no more than it has (vm.overcommit_memory). A failure
// half way through an exit would lose it without a word, so there is none: what is under way gets
// its memory from a reserve, nothing new is begun as long as that is used up, and who needs more
// still ends with the process, which containerd notices and cleans up after.
#pragma once

namespace thinshim {

// From now on. The reserve is address space that is never touched, and no page of memory.
void reserve_memory();

// Whether something new may be begun. A reserve that was used up is taken anew, if that can be.
bool has_reserved_memory() noexcept;

}  // namespace thinshim
