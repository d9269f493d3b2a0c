// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

namespace thinshim::test {

// For SetUpTestSuite(): enters a new mount namespace, so that the tests' mounts end with the
// process.
inline void have_own_mounts() {
  static const bool done =
      ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0;
  ASSERT_TRUE(done) << "these tests need root";
}

}  // namespace thinshim::test
