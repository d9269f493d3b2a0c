// SPDX-License-Identifier: Apache-2.0
#include "shim/config_file.h"

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/quote.h"
#include "process/run.h"

namespace thinshim {
namespace {

// Memory shared with the child. Pages that are not written cost nothing.
struct Shared {
  std::size_t size;
  char text[kMaxConfigSize];
};
struct Unmap {
  void operator()(Shared* shared) const { ::munmap(shared, sizeof *shared); }
};
using SharedPtr = std::unique_ptr<Shared, Unmap>;

SharedPtr map_shared() {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw_errno("mmap for a config file");
  return SharedPtr(static_cast<Shared*>(memory));
}

}  // namespace

Task<Config> load_config_in_fork(Reaper& reaper, std::string path, Event* stop, Duration limit) {
  const SharedPtr shared = map_shared();
  const std::function<void()> work = [&shared, &path] {
    const std::string text = read_config(path);
    std::memcpy(shared->text, text.data(), text.size());
    shared->size = text.size();
  };
  const std::string what = "config file " + quoted(path);
  Task<> reading = run_forked_within(reaper, limit, what, work, stop);
  co_await std::move(reading);
  co_return parse_config(std::string(shared->text, shared->size), path);
}

}  // namespace thinshim
