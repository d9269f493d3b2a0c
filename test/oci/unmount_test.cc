// SPDX-License-Identifier: Apache-2.0
#include "oci/unmount.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "oci/mount_fixture.h"

namespace thinshim {
namespace {

using Strings = std::vector<std::string>;

TEST(Mountinfo, GivesTheMountPointsBelowADirectory) {
  constexpr std::string_view kMountinfo =
      "21 1 8:1 / / rw - ext4 /dev/sda rw\n"
      "36 21 0:30 / /b rw,nosuid shared:1 - tmpfs tmpfs rw\n"
      "37 36 0:31 / /b/rootfs rw - overlay overlay rw,lowerdir=/a\n"
      "38 37 0:32 / /b/rootfs rw - tmpfs tmpfs rw\n"
      "39 38 0:33 /x /b/rootfs/a\\040b\\011c\\012d\\134e rw - tmpfs tmpfs rw\n"
      "40 39 0:34 / /b/rootfs/a\\040b/deeper/still/and/deeper rw - tmpfs tmpfs rw\n"
      "41 21 0:35 / /b/rootfs2 rw - tmpfs tmpfs rw\n"
      "42 21 0:36 / /b/\\303\\244\\777\\1 rw - tmpfs tmpfs rw\n";
  EXPECT_EQ(mount_points_below(kMountinfo, "/b/rootfs"),
            (Strings{"/b/rootfs/a b/deeper/still/and/deeper", "/b/rootfs/a b\tc\nd\\e", "/b/rootfs",
                     "/b/rootfs"}));
  EXPECT_EQ(mount_points_below(kMountinfo, "/b/\xc3\xa4\\777\\1"), Strings{"/b/\xc3\xa4\\777\\1"});
  EXPECT_EQ(mount_points_below(kMountinfo, "/c"), Strings{});
  for (std::string_view broken : {"", "\n\n", "1", "1 2 3", "1 2 3 4", "1 2 3 4 ", "x y z / /b"})
    EXPECT_EQ(mount_points_below(broken, "/nothing"), Strings{});
  EXPECT_EQ(mount_points_below("1 2 3 4 /b", "/b"), Strings{"/b"});
}

class UnmountTest : public test::MountFixture {
 protected:
  void mount_tmpfs(const std::string& name) {
    ASSERT_EQ(mount("tmpfs", make(name).c_str(), "tmpfs", 0, ""), 0) << strerror(errno);
  }
};

TEST_F(UnmountTest, UnmountsEverythingDeepestFirst) {
  mount_tmpfs("rootfs");
  mount_tmpfs("rootfs");
  mount_tmpfs("rootfs/a");
  mount_tmpfs("rootfs/a/odd \t\n\\ name");
  mount_tmpfs("rootfs/a");
  mount_tmpfs("rootfs2");
  ASSERT_EQ(new_mounts(), 6);
  unmount_recursive(dir_ / "rootfs");
  EXPECT_EQ(new_mounts(), 1);
  EXPECT_NE(mount_line(dir_ / "rootfs2"), "");
}

TEST_F(UnmountTest, FindsMountsBelowADirectoryThatIsNoMount) {
  mount_tmpfs("rootfs/a/b");
  unmount_recursive(dir_ / "rootfs");
  EXPECT_EQ(new_mounts(), 0);
  EXPECT_EQ(access((dir_ / "rootfs/a/b").c_str(), F_OK), 0);
}

TEST_F(UnmountTest, FindsItsWayThroughLinksToTheDirectory) {
  mount_tmpfs("real/rootfs");
  ASSERT_EQ(symlink("real", (dir_ / "link").c_str()), 0);
  unmount_recursive(dir_ / "link/rootfs");
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(UnmountTest, DoesNotFollowALinkAtTheTarget) {
  mount_tmpfs("elsewhere");
  ASSERT_EQ(symlink("elsewhere", (dir_ / "rootfs").c_str()), 0);
  unmount_recursive(dir_ / "rootfs");
  EXPECT_EQ(new_mounts(), 1);
}

TEST_F(UnmountTest, NothingToDoIsSuccess) {
  unmount_recursive(dir_ / "missing");
  unmount_recursive(dir_ / "missing/too");
  unmount_recursive(make("empty"));
  put("file", "");
  unmount_recursive(dir_ / "file");
  unmount_recursive(dir_ / "file/below");
  make("full/of/things");
  unmount_recursive(dir_ / "full");
  EXPECT_EQ(new_mounts(), 0);
  EXPECT_FALSE(unmount_once(dir_ / "full"));
}

TEST_F(UnmountTest, RefusesTargetsWithoutAName) {
  for (const char* target : {"", "/", ".", "..", "/tmp/.."})
    EXPECT_THROW(unmount_recursive(target), Error) << target;
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(UnmountTest, WaitsForABusyMount) {
  mount_tmpfs("rootfs");
  Fd holder = open_file(dir_ / "rootfs", O_RDONLY);
  pid_t child = fork();
  if (child == 0) {
    // Long enough for the first attempts to fail; the parent retries for 2.5 s.
    usleep(100'000);
    _exit(0);
  }
  holder.reset();
  unmount_recursive(dir_ / "rootfs");
  EXPECT_EQ(new_mounts(), 0);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST_F(UnmountTest, FailsOnAMountThatStaysBusyWithoutDetach) {
  mount_tmpfs("rootfs");
  mount_tmpfs("rootfs/busy");
  Fd holder = open_file(dir_ / "rootfs/busy", O_RDONLY);
  try {
    unmount_recursive(dir_ / "rootfs");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(),
              "failed to unmount target " + (dir_ / "rootfs/busy") + ": device or resource busy");
    EXPECT_EQ(error.errnum(), EBUSY);
  }
  EXPECT_EQ(new_mounts(), 2);
  unmount_recursive(dir_ / "rootfs", MNT_DETACH);
  EXPECT_EQ(new_mounts(), 0);
}

}  // namespace
}  // namespace thinshim
