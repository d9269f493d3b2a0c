// SPDX-License-Identifier: Apache-2.0
#include "shim/config_file.h"

#include <sys/mman.h>

#include <cstring>
#include <exception>
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
  Event over, timed_out;
  TaskSet limits;
  limits.spawn(set_later(reaper.loop(), limit, timed_out), "time out reading a config file");
  limits.spawn(propagate(timed_out, over), "stop reading a config file");
  if (stop) limits.spawn(propagate(*stop, over), "cancel reading a config file");
  const std::string what = "config file " + quoted(path);
  std::exception_ptr failure;
  try {
    co_await run_forked(reaper, what, work, &over);
  } catch (const Error&) {
    failure = std::current_exception();
  }
  if (failure && timed_out.is_set()) throw Error::unknown(what + ": timed out");
  if (failure) std::rethrow_exception(failure);
  co_return parse_config(std::string(shared->text, shared->size), path);
}

}  // namespace thinshim
