// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

namespace thinshim::test {

// A FUSE file system whose server does not answer, like NFS without its server. Processes that
// access it block unkillably in the kernel. Needs root, and a mount namespace of the test.
class HungFileSystem {
 public:
  // Makes the directory and mounts there. Throws on failure.
  explicit HungFileSystem(std::string directory);
  ~HungFileSystem();  // ends it, and unmounts it
  HungFileSystem(const HungFileSystem&) = delete;
  HungFileSystem& operator=(const HungFileSystem&) = delete;

  // An executable file that can be opened, whose reads never return. Lookups of all other names
  // never return.
  std::string file() const { return directory_ + "/file"; }
  // Waits until a process blocks; each one counts once. False after 30 s.
  bool is_waited_for() const;
  // Fails all pending and later requests. Happens by itself after a minute, and when the test
  // exits.
  void end();

 private:
  const std::string directory_;
  int running_ = -1;  // closed: end
  int waiters_ = -1;  // a byte for each
  pid_t server_ = -1;
};

}  // namespace thinshim::test
