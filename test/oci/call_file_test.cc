// SPDX-License-Identifier: Apache-2.0
#include "oci/call_file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "oci/bundle.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using Names = std::vector<std::string>;

class CallFileTest : public testing::Test {
 protected:
  static std::string content(const std::string& path) {
    return read_file(path, 16u << 20, Links::follow).value_or("(none)");
  }
  // in memory; to be opened through /proc/PID/fd of this process
  static bool is_in_memory(const CallFile& file) {
    return file.path().starts_with("/proc/" + std::to_string(::getpid()) + "/fd/");
  }
  test::TempDir bundle_;
};

TEST_F(CallFileTest, IsPrivateInTheBundleAndRemovedAfterTheCall) {
  std::optional<CallFile> file(std::in_place, bundle_.path(), "the process", "{}");
  EXPECT_EQ(directory_of(file->path()), bundle_.path());
  EXPECT_EQ(content(file->path()), "{}");
  struct stat status{};
  ASSERT_EQ(::stat(file->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  file.reset();
  EXPECT_EQ(entries_of(bundle_.path()), Names());
}

TEST_F(CallFileTest, IsADifferentFileForEachCall) {
  const CallFile one(bundle_.path(), "the log"), other(bundle_.path(), "the log");
  EXPECT_NE(one.path(), other.path());
}

// From a killed shim; or another process made a symbolic link of the next name.
TEST_F(CallFileTest, DoesNotOverwriteExistingFiles) {
  const std::string victim = bundle_ / "victim";
  write_file(victim, "x", 0600);
  unsigned long last = 0;
  {
    const CallFile file(bundle_.path(), "the log");
    last = std::stoul(file.path().substr(file.path().rfind('-') + 1));
  }
  const std::string prefix = bundle_ / ".call-";
  ASSERT_EQ(::symlink("victim", (prefix + std::to_string(last + 1)).c_str()), 0);
  write_file(prefix + std::to_string(last + 2), "old", 0600);
  const CallFile file(bundle_.path(), "the log", "new");
  EXPECT_EQ(file.path(), prefix + std::to_string(last + 3));
  EXPECT_EQ(content(victim), "x");
  EXPECT_EQ(content(prefix + std::to_string(last + 2)), "old");
}

TEST_F(CallFileTest, HasANameThatDeleteRecognizes) {
  const CallFile file(bundle_.path(), "the log");
  EXPECT_TRUE(Bundle::is_temporary(base_name(file.path())));
  EXPECT_FALSE(Bundle::is_temporary("call-1"));
}

TEST_F(CallFileTest, IsReadableAfterItsNameWasRemoved) {
  const CallFile file(bundle_.path(), "the log", "a reason");
  ::unlink(file.path().c_str());
  write_file(file.path(), "another's", 0600);
  EXPECT_EQ(content(file.own_path()), "a reason");
}

TEST_F(CallFileTest, IsInMemoryWhereThereIsNoBundle) {
  for (const std::string& directory : {std::string(), bundle_ / "gone"}) {
    const CallFile file(directory, "the log", "text");
    EXPECT_TRUE(is_in_memory(file)) << file.path();
    EXPECT_EQ(content(file.path()), "text");
    EXPECT_EQ(content(file.own_path()), "text");
  }
}

TEST_F(CallFileTest, IsInMemoryWhereTheDiskIsFull) {
  const std::string disk = bundle_ / "disk";
  ASSERT_EQ(::mkdir(disk.c_str(), 0700), 0);
  const std::string process(64 << 10, 'x');
  for (const char* size : {"size=8k", "nr_inodes=1"}) {
    check(::mount("tmpfs", disk.c_str(), "tmpfs", 0, size), "mount");
    {
      const CallFile file(disk, "the process", process);
      EXPECT_TRUE(is_in_memory(file)) << size;
      EXPECT_EQ(content(file.path()), process) << size;
    }
    EXPECT_EQ(entries_of(disk), Names()) << size;
    check(::umount2(disk.c_str(), 0), "umount");
  }
}

}  // namespace
}  // namespace thinshim
