// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace thinshim::test {

// A FUSE file system whose server does not answer, as one whose network is gone. Whoever waits for
// an answer sleeps in the kernel, and no signal wakes it. Needs root, and a mount namespace of the
// test's own.
class HungFileSystem {
 public:
  // Makes the directory and mounts there. Throws where that fails.
  explicit HungFileSystem(std::string directory);
  ~HungFileSystem();  // ends it, and unmounts it
  HungFileSystem(const HungFileSystem&) = delete;
  HungFileSystem& operator=(const HungFileSystem&) = delete;

  // A file that may be executed and opened, and whose content never comes. Whether any other name
  // exists is never said.
  std::string file() const { return directory_ + "/file"; }
  // Waits, for half a minute at most, until somebody waits for an answer; once for each. False
  // where nobody does.
  bool is_waited_for() const;
  // All that wait get an error, and whoever comes. It happens by itself after a minute, and with
  // the test's end.
  void end();

 private:
  const std::string directory_;
  int running_ = -1;  // closed: end
  int waiters_ = -1;  // a byte for each
  pid_t server_ = -1;
};

}  // namespace thinshim::test
