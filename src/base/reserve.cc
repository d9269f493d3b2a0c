// SPDX-License-Identifier: Apache-2.0
#include "base/reserve.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <string_view>

namespace thinshim {
namespace {

// Bytes. The allocator requests at least a quarter of it from the kernel (M_TOP_PAD, mallopt(3)).
constexpr std::size_t kReserve = 512 << 10;

void* reserve = MAP_FAILED;

// The new-handler: operator new tries again when it returns.
void on_out_of_memory() {
  if (reserve != MAP_FAILED) {
    ::munmap(reserve, kReserve);
    reserve = MAP_FAILED;
    return;
  }
  constexpr std::string_view kText = "containerd-shim-runc-v2: out of memory\n";
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, kText.data(), kText.size());
  ::_exit(1);
}

}  // namespace

void reserve_memory() {
  std::set_new_handler(on_out_of_memory);
  has_reserved_memory();
}

bool has_reserved_memory() noexcept {
  if (reserve == MAP_FAILED)
    reserve = ::mmap(nullptr, kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return reserve != MAP_FAILED;
}

}  // namespace thinshim
