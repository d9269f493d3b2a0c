// SPDX-License-Identifier: Apache-2.0
#include "shim/version.h"

#include "base/error.h"
#include "base/file.h"

namespace thinshim {

std::optional<int> recorded_version(const std::string& bundle) {
  std::string record;
  try {
    record = read_file(join_path(bundle, "bootstrap.json")).value_or("");
  } catch (const Error&) {
  }
  if (record.empty()) return std::nullopt;
  return record.find("\"version\":3") != std::string::npos ? kBootstrapVersion : kLegacyVersion;
}

std::optional<int> version_of_shim(int pid) {
  const std::string flag = std::string(1, '\0') + kVersionFlag;
  const std::string line = read_proc_file(pid, "cmdline");
  const std::size_t found = line.find(flag);
  if (found == std::string::npos) return recorded_version("/proc/" + std::to_string(pid) + "/cwd");
  return line[found + flag.size()] == '3' ? kBootstrapVersion : kLegacyVersion;
}

}  // namespace thinshim
