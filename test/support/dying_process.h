// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace thinshim::test {

// A killed process that the kernel has not finished terminating, until end() is called. All calls
// must come from one thread, which is its tracer.
class DyingProcess {
 public:
  // Throws on failure.
  explicit DyingProcess(const std::string& working_directory = "/");
  ~DyingProcess() { finish(); }
  DyingProcess(const DyingProcess&) = delete;
  DyingProcess& operator=(const DyingProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Lets it exit; returns when it is a zombie.
  void end();

 private:
  void finish();

  pid_t pid_ = -1;
};

}  // namespace thinshim::test
