// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

namespace thinshim::test {

// A file system that can hang: ext4 in a file, mounted on a loop device. Needs a mount namespace of
// the test's own.
class FreezableDisk {
 public:
  // Makes the image and the directory. Throws on failure.
  FreezableDisk(const std::string& image, std::string directory);
  ~FreezableDisk();  // thaws and unmounts it
  FreezableDisk(const FreezableDisk&) = delete;
  FreezableDisk& operator=(const FreezableDisk&) = delete;

  // Blocks all writers in the kernel until thaw(). If the code under test is wrong, the test itself
  // may block unkillably; so a helper process thaws the disk after `limit`, or when the test exits.
  void freeze(std::chrono::milliseconds limit = std::chrono::seconds(30));
  void thaw();

 private:
  const std::string directory_;
  int root_ = -1;      // while it is frozen
  int freezing_ = -1;  // closed: thaw
  pid_t thawer_ = -1;
};

}  // namespace thinshim::test
