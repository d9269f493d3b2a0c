// SPDX-License-Identifier: Apache-2.0
// Output to files, on disks of the test.
#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <optional>
#include <string>
#include <vector>

#include "process_io_fixture.h"
#include "support/freezable_disk.h"

namespace thinshim::test {

class FileOutput : public ProcessIoTest {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0) << "these tests need root: " << errno_text(errno);
    ASSERT_EQ(::mount("", "/", "", MS_REC | MS_PRIVATE, ""), 0);
  }
  void TearDown() override {
    disk_.reset();
    ProcessIoTest::TearDown();
    if (small_disk_) ::umount2((dir_ / "disk").c_str(), MNT_DETACH);
  }
  // A tmpfs with this many pages.
  void mount_disk(int pages) {
    make_directories(dir_ / "disk", 0755);
    const std::string options = "size=" + std::to_string(pages * 4) + "k";
    ASSERT_EQ(::mount("tmpfs", (dir_ / "disk").c_str(), "tmpfs", 0, options.c_str()), 0);
    small_disk_ = true;
  }
  std::string content(const std::string& path) { return read_file(path).value_or("no file"); }
  bool comes_to_hold(const std::string& path, const std::string& text) {
    return eventually([&] { return content(path) == text; });
  }
  // The pids of the log file processes.
  static std::vector<int> writers() {
    std::vector<int> found;
    for (pid_t pid : own_children())
      if (read_proc_file(pid, "comm").value_or("") == "thinshim-log\n") found.push_back(pid);
    return found;
  }
  int milliseconds_since(std::uint64_t began) const {
    return static_cast<int>(loop_.now() - began);
  }

  std::optional<FreezableDisk> disk_;

 private:
  bool small_disk_ = false;
};

}  // namespace thinshim::test
