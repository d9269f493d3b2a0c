// SPDX-License-Identifier: Apache-2.0
#include "shim/version.h"

#include <signal.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

// The kernel lets `start` go on a moment before the server's environment can be read.
std::string environment_of(int pid) {
  std::string environment = read_proc_file(pid, "environ");
  for (int attempts = 1000; environment.empty() && attempts > 0 && ::kill(pid, 0) == 0;
       --attempts) {
    ::usleep(100);
    environment = read_proc_file(pid, "environ");
  }
  return environment;
}

}  // namespace

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
  const std::string variable = '\0' + std::string(kVersionVariable) + '=';
  const std::string environment = '\0' + environment_of(pid);
  const std::size_t found = environment.find(variable);
  if (found == std::string::npos) return recorded_version("/proc/" + std::to_string(pid) + "/cwd");
  return environment[found + variable.size()] == '3' ? kBootstrapVersion : kLegacyVersion;
}

}  // namespace thinshim
