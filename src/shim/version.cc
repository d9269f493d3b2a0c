// SPDX-License-Identifier: Apache-2.0
#include "shim/version.h"

#include "base/file.h"
#include "base/proc.h"

namespace thinshim {

std::optional<int> recorded_version(const std::string& bundle) {
  const std::string record = read_file(join_path(bundle, "bootstrap.json")).value_or("");
  if (record.empty()) return std::nullopt;
  return record.find("\"version\":3") != std::string::npos ? kBootstrapVersion : kLegacyVersion;
}

std::optional<int> version_in(std::string_view command_line) {
  const std::string flag = std::string(1, '\0') + kVersionFlag;
  const std::size_t found = command_line.find(flag);
  if (found == std::string_view::npos) return std::nullopt;
  return command_line.substr(found + flag.size()).starts_with('3') ? kBootstrapVersion
                                                                   : kLegacyVersion;
}

std::optional<int> version_of_shim(int pid) {
  if (pid == 0) return std::nullopt;
  const std::optional<int> told = version_in(read_proc_file(pid, "cmdline").value_or(""));
  return told ? told : recorded_version("/proc/" + std::to_string(pid) + "/cwd");
}

}  // namespace thinshim
