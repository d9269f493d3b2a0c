// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

// Symbols of the linker: begin and end of the program's read-only part (end(3)).
extern "C" const char __executable_start, etext;

namespace thinshim {
namespace {

// Less than the gap that the kernel keeps below the main thread's stack (stack_guard_gap, 256
// pages, in the kernel's parameters), so no other mapping is in this range.
constexpr std::uintptr_t kDeepestStack = 512 << 10;

std::uintptr_t page_of(const void* place) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return reinterpret_cast<std::uintptr_t>(place) / page * page;
}

}  // namespace

[[gnu::noinline]] void release_unused_memory() {
  ::malloc_trim(0);
  // Keep one page for the calls below and for the red zone.
  const std::uintptr_t end =
      page_of(__builtin_frame_address(0)) - static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // ENOMEM if the stack is smaller; the mapped part is dropped nevertheless (madvise(2)).
  ::madvise(reinterpret_cast<void*>(end - kDeepestStack), kDeepestStack, MADV_DONTNEED);
}

void unmap_unused_code() {
  const std::uintptr_t begin = page_of(&__executable_start);
  ::madvise(reinterpret_cast<void*>(begin), page_of(&etext) - begin, MADV_DONTNEED);
}

}  // namespace thinshim
