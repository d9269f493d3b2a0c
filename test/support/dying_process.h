// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace thinshim::test {

// A process that was killed, and whose end the kernel has begun and not finished, for as long as
// the test likes. All calls must come from one thread: it is the tracer that the process is held
// by.
class DyingProcess {
 public:
  // Throws where that fails.
  explicit DyingProcess(const std::string& working_directory = "/");
  ~DyingProcess() { finish(); }
  DyingProcess(const DyingProcess&) = delete;
  DyingProcess& operator=(const DyingProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Lets its end go on, until it is a zombie.
  void end();

 private:
  void finish();

  pid_t pid_ = -1;
};

}  // namespace thinshim::test
