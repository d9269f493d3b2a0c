// SPDX-License-Identifier: Apache-2.0
// What can be said of a runtime without calling it; test/task has the calls.
#include "oci/runtime.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/temp_dir.h"

namespace thinshim {
namespace {

using Knows = Runtime::Knows;

Knows knows(const std::string& binary, const std::string& root) {
  return Runtime::knows({binary, root}, "c1");
}

TEST(RuntimesLayout, IsKnownByTheNamesOfThree) {
  const test::TempDir directory;
  const std::string root = directory / "root";
  ::mkdir(root.c_str(), 0700);
  ::mkdir((root + "/c1").c_str(), 0700);
  for (const char* binary :
       {"runc", "crun", "youki", "/usr/sbin/runc", "/opt/a b/crun", "runc-1.5.3", "crun_1.28",
        "/x/youki-v0.7.0", "runc1.1", "docker-runc"}) {
    EXPECT_EQ(knows(binary, root), Knows::yes) << binary;
    EXPECT_EQ(knows(binary, directory.path()), Knows::no) << binary;
    EXPECT_EQ(knows(binary, directory / "none"), Knows::no) << binary;
  }
  for (const char* binary : {"runsc", "/usr/bin/kata-runtime", "nvidia-container-runtime", "runcx",
                             "runc-wrapper", "crun-vm", "krun", "my-runc", "", "/runc/"})
    EXPECT_EQ(knows(binary, root), Knows::unknown) << binary;
}

TEST(RuntimesLayout, IsUnknownWhereItCannotBeSeen) {
  const test::TempDir directory;
  const std::string loop = directory / "loop";
  ASSERT_EQ(::symlink("loop", loop.c_str()), 0);
  EXPECT_EQ(knows("runc", loop), Knows::unknown);
}

}  // namespace
}  // namespace thinshim
