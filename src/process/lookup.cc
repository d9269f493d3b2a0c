// SPDX-License-Identifier: Apache-2.0
#include "process/lookup.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/quote.h"
#include "process/run.h"

namespace thinshim {
namespace {

bool is_in_memory(const std::string& path) {
  // A path may lead out of them.
  if (path.find("/..") != std::string::npos) return false;
  return std::ranges::any_of(std::to_array({"/run/", "/var/run/", "/dev/"}),
                             [&](const char* directory) { return path.starts_with(directory); });
}

}  // namespace

Task<> look_up(Reaper& reaper, std::string path, Event* stop, Duration limit) {
  if (path.empty() || is_in_memory(path)) co_return;
  const std::string what = "open " + escaped(path);
  Task<> looking = run_forked_within(
      reaper, limit, what,
      [path] {
        struct stat status;
        [[maybe_unused]] int result = ::stat(path.c_str(), &status);
      },
      stop);
  co_await std::move(looking);
}

}  // namespace thinshim
