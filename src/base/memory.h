// SPDX-License-Identifier: Apache-2.0
// Reduces the resident memory of a shim, which is idle for nearly all of its life.
#pragma once

namespace thinshim {

// Returns to the kernel the allocator's free pages (malloc_trim(3)) and the stack pages below the
// current frame. For the main thread only. Takes some ten microseconds.
void release_unused_memory();

// Unmaps the pages of the program's code. The kernel maps those that run again, 64 KiB at a time;
// code that only runs at start-up no longer counts as resident. It stays in the page cache, for the
// next shim.
void unmap_unused_code();

}  // namespace thinshim
