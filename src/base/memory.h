// SPDX-License-Identifier: Apache-2.0
// A shim waits for nearly all of its life: what it needed once would count for all that time.
#pragma once

namespace thinshim {

// Gives back to the kernel the pages that the allocator keeps though nothing is in them
// (malloc_trim(3)), and those of the stack that earlier calls have left behind. For the program's
// first thread, whose stack has room below it. Takes some ten microseconds.
void release_unused_memory();

// Has the kernel forget which pages of the program are mapped here: what runs from now on comes
// back by itself, in pieces of 64 KiB; what only ran at the start does not, and no longer counts as
// resident. It stays in the page cache, for the next shim.
void unmap_unused_code();

}  // namespace thinshim
