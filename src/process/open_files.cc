// SPDX-License-Identifier: Apache-2.0
#include "process/open_files.h"

#include <optional>

namespace thinshim {
namespace {

std::optional<rlimit> original_limit;

}  // namespace

void raise_open_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) original_limit = limit;
}

const rlimit* open_files_limit_of_programs() { return original_limit ? &*original_limit : nullptr; }

}  // namespace thinshim
