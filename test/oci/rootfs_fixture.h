// SPDX-License-Identifier: Apache-2.0
// For tests of root file systems: lists of mounts, and checks of the result.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "oci/mount_fixture.h"
#include "oci/mount_options.h"
#include "oci/rootfs.h"

namespace thinshim::test {

class RootfsFixture : public MountFixture {
 public:
  RootfsFixture& add(const std::string& type, const std::string& source,
                     const std::vector<std::string>& options, const std::string& target = "") {
    containerd::types::Mount& mount = *mounts_.Add();
    mount.set_type(type);
    mount.set_source(source);
    mount.set_target(target);
    for (const std::string& option : options) mount.add_options(option);
    return *this;
  }
  void mount_all() { thinshim::mount_all(mounts_, rootfs_); }
  std::string failure() {
    try {
      mount_all();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  // The same in a child process that first simulates an older kernel.
  std::string failure_behind(const std::function<bool()>& filter) {
    const pid_t child = fork();
    if (child == 0) {
      put("failure", filter() ? failure() : "no filter");
      _exit(0);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return get("failure").value_or("no answer");
  }
  unsigned long flags() const {
    struct statvfs status{};
    EXPECT_EQ(statvfs(rootfs_.c_str(), &status), 0);
    return status.f_flag;
  }

  // Creates layers in directories with these names: each has its own file and one in common.
  std::vector<std::string> layers(int count, const std::function<std::string(int)>& name) {
    std::vector<std::string> dirs;
    for (int i = 0; i < count; ++i) {
      std::string dir = name(i);
      make(dir);
      put(dir + "/own" + std::to_string(i), "x");
      put(dir + "/shared", std::to_string(i));
      dirs.push_back(escape_layer(dir_ / dir));
    }
    return dirs;
  }
  // Checks that all layers are visible, the first on top, and that writes go to the upper one.
  void expect_overlay_of(int count) {
    EXPECT_EQ(new_mounts(), 1);
    EXPECT_EQ(get("rootfs/shared"), "0");
    for (int i = 0; i < count; ++i) EXPECT_TRUE(get("rootfs/own" + std::to_string(i))) << i;
    put("rootfs/written", "y");
    EXPECT_EQ(get("upper/written"), "y");
  }
  std::vector<std::string> overlay_options(const std::vector<std::string>& lower) {
    return {"index=off", "workdir=" + make("work"), "upperdir=" + make("upper"),
            lowerdir_option(lower)};
  }

  MountList mounts_;
  const std::string rootfs_ = dir_ / "rootfs";
};

}  // namespace thinshim::test
