// SPDX-License-Identifier: Apache-2.0
#include "base/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace thinshim {
namespace {

constexpr std::uintptr_t kDeepestStack = 1
                                         << 20;  // no other mapping comes so near (stack_guard_gap)

}  // namespace

[[gnu::noinline]] void release_unused_memory() {
  ::malloc_trim(0);
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  // A page's distance: what the next calls need, and what lies below the stack pointer (red zone).
  const std::uintptr_t end =
      reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) / page * page - page;
  // Fails with ENOMEM where the stack is not so deep, having done its work (madvise(2)).
  ::madvise(reinterpret_cast<void*>(end - kDeepestStack), kDeepestStack, MADV_DONTNEED);
}

}  // namespace thinshim
