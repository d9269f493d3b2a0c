// SPDX-License-Identifier: Apache-2.0
// Tests that mount, in a new mount namespace and each on its own tmpfs, so that no mounts remain.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>

#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim::test {

class MountFixture : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static bool alone = false;
    if (alone) return;
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "these tests need root: " << strerror(errno);
    ASSERT_EQ(mount("", "/", "", MS_REC | MS_PRIVATE, ""), 0);
    alone = true;
  }
  void SetUp() override {
    ASSERT_EQ(mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, ""), 0) << strerror(errno);
    mounts_before_ = mounts();
  }
  void TearDown() override { EXPECT_EQ(umount2(dir_.path().c_str(), MNT_DETACH), 0); }

  // The number of mounts in this namespace.
  static long mounts() {
    std::string text = read_file("/proc/self/mountinfo").value();
    return std::count(text.begin(), text.end(), '\n');
  }
  long new_mounts() const { return mounts() - mounts_before_; }

  // The mountinfo line of the topmost mount on `path`; empty where there is none.
  static std::string mount_line(const std::string& path) {
    std::string text = read_file("/proc/self/mountinfo").value();
    std::size_t place = text.rfind(" " + path + " ");
    if (place == std::string::npos) return "";
    std::size_t begin = text.rfind('\n', place) + 1;
    return text.substr(begin, text.find('\n', place) - begin);
  }

  // Creates a directory below the test's own.
  std::string make(const std::string& name) const {
    make_directories(dir_ / name, 0755);
    return dir_ / name;
  }
  void put(const std::string& name, const std::string& content) const {
    write_file(dir_ / name, content, 0644);
  }
  std::optional<std::string> get(const std::string& name) const { return read_file(dir_ / name); }

  TempDir dir_;

 private:
  long mounts_before_ = 0;
};

}  // namespace thinshim::test
