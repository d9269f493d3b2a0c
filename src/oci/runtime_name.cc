// SPDX-License-Identifier: Apache-2.0
#include "oci/runtime_name.h"

#include <fnmatch.h>

#include <algorithm>
#include <string>

#include "base/file.h"

namespace thinshim {
namespace {

// "-1.5.3", "_1.28", "-v0.7.0", "2".
bool is_version(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of("-_.v"), text.size()));
  return !text.empty() && text.front() >= '0' && text.front() <= '9';
}

bool matches(std::string_view name, const std::string& pattern) {
  for (std::size_t end = name.size(); end > 0; --end) {
    const bool is_whole = end == name.size() || is_version(name.substr(end));
    const std::string head(name.substr(0, end));
    if (is_whole && ::fnmatch(pattern.c_str(), head.c_str(), 0) == 0) return true;
  }
  return false;
}

}  // namespace

bool is_runtime(std::string_view program, std::string_view pattern) {
  constexpr std::string_view kDockerPrefix = "docker-";
  const std::string_view name = base_name(program);
  const std::string known(pattern);
  return matches(name, known) ||
         (name.starts_with(kDockerPrefix) && matches(name.substr(kDockerPrefix.size()), known));
}

}  // namespace thinshim
