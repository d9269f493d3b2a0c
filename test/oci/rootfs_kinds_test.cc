// SPDX-License-Identifier: Apache-2.0
// Rarer kinds of root file systems: images (loop), ID-mapped mounts, mount helpers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/error.h"
#include "base/fd.h"
#include "oci/idmap.h"
#include "oci/rootfs_fixture.h"
#include "oci/unmount.h"
#include "support/older_kernel.h"

namespace thinshim {
namespace {

using Strings = std::vector<std::string>;

class RootfsOfTest : public test::RootfsFixture {
 protected:
  void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }
  void own(const std::string& name, unsigned uid, unsigned gid) {
    ASSERT_EQ(lchown((dir_ / name).c_str(), uid, gid), 0) << name;
  }
  std::pair<unsigned, unsigned> owner(const std::string& name) {
    struct stat status{};
    EXPECT_EQ(lstat((dir_ / name).c_str(), &status), 0) << name;
    return {status.st_uid, status.st_gid};
  }
};

using Owner = std::pair<unsigned, unsigned>;

class RootfsOfImageTest : public RootfsOfTest {
 protected:
  void SetUp() override {
    RootfsOfTest::SetUp();
    make("content");
    put("content/f", "from the image");
    run("mke2fs -q -t ext4 -d " + (dir_ / "content") + " " + image_ + " 4M >/dev/null");
  }
  // The loop device of the image; empty where there is none.
  std::string device() {
    for (int i = 0; i < 1000; ++i) {
      std::string name = "/loop" + std::to_string(i);
      if (access(("/sys/block" + name).c_str(), F_OK) != 0) continue;
      auto file = read_file("/sys/block" + name + "/loop/backing_file");
      if (file && *file == image_ + "\n") return "/dev" + name;
    }
    return "";
  }
  const std::string image_ = dir_ / "image";
};

TEST_F(RootfsOfImageTest, IsMountedThroughALoopDeviceThatGoesWithIt) {
  for (bool read_only : {false, true}) {
    mounts_.Clear();
    add("ext4", image_, {"loop", read_only ? "ro" : "rw"}).mount_all();
    EXPECT_EQ(get("rootfs/f"), "from the image");
    EXPECT_EQ(static_cast<bool>(flags() & ST_RDONLY), read_only);
    EXPECT_NE(device(), "");
    unmount_recursive(rootfs_);
    EXPECT_EQ(device(), "");
  }
}

TEST_F(RootfsOfImageTest, LeavesNoLoopDeviceWhereTheMountFails) {
  add("ext4", image_, {"loop", "nonsense"});
  EXPECT_NE(failure().find("invalid argument"), std::string::npos);
  EXPECT_EQ(device(), "");
  EXPECT_EQ(new_mounts(), 0);
  mounts_.Clear();
  add("ext4", dir_ / "none", {"loop"});
  EXPECT_EQ(failure(), "failed to mount rootfs component: open " + (dir_ / "none") +
                           ": no such file or directory");
}

// Makes LOOP_CONFIGURE fail in this process, as on an older kernel.
bool forget_loop_configure() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOOP_CONFIGURE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{std::size(program), program};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_F(RootfsOfImageTest, IsMountedByOlderKernelsToo) {
  add("ext4", image_, {"loop", "ro"});
  EXPECT_EQ(failure_behind(forget_loop_configure), "");
  EXPECT_EQ(get("rootfs/f"), "from the image");
  unmount_recursive(rootfs_);
  EXPECT_EQ(device(), "");
}

using RootfsOfMappedTest = RootfsOfTest;

TEST_F(RootfsOfMappedTest, ShowsOtherOwners) {
  make("source");
  put("source/root", "");
  put("source/user", "");
  own("source/user", 1000, 100);
  add("bind", dir_ / "source",
      {"rbind", "ro", "uidmap=0:100000:65536", "gidmap=0:200000:50,50:7:99"})
      .mount_all();
  EXPECT_EQ(owner("rootfs/root"), Owner(100000, 200000));
  EXPECT_EQ(owner("rootfs/user"), Owner(101000, 57));
  EXPECT_TRUE(flags() & ST_RDONLY);
  unmount_recursive(rootfs_);
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsOfMappedTest, IsNotMappedByHalfAMap) {
  make("source");
  put("source/root", "");
  add("bind", dir_ / "source", {"bind", "uidmap=0:100000:65536"}).mount_all();
  EXPECT_EQ(owner("rootfs/root"), Owner(0, 0));
}

TEST_F(RootfsOfMappedTest, ShowsOtherOwnersInTheLayersOfAnOverlay) {
  for (int count : {1, 3, 150}) {
    SCOPED_TRACE(count);
    // 150 names of 100 bytes exceed a page, whatever the working directory.
    std::string name = std::to_string(count) + std::string(count == 150 ? 100 : 1, 'x');
    Strings options = overlay_options(
        layers(count, [&](int i) { return "layers/" + name + ":" + std::to_string(i); }));
    own("upper", 100000, 100000);
    options.insert(options.end(), {"uidmap=0:100000:65536", "gidmap=0:100000:65536"});
    mounts_.Clear();
    add("overlay", "overlay", options).mount_all();
    expect_overlay_of(count);
    EXPECT_EQ(owner("rootfs/shared"), Owner(100000, 100000));
    EXPECT_EQ(owner("rootfs/own" + std::to_string(count - 1)), Owner(100000, 100000));
    unmount_recursive(rootfs_);
    EXPECT_EQ(new_mounts(), 0);
    run("test -z \"$(ls -d " + rootfs_ + ".layers* 2>/dev/null)\"");
  }
}

TEST_F(RootfsOfMappedTest, LeavesNothingBehindWhereTheMountFails) {
  make("layers/1");
  add("overlay", "overlay",
      {"lowerdir=" + (dir_ / "layers/1") + ":" + (dir_ / "layers/none"), "uidmap=0:100000:65536",
       "gidmap=0:100000:65536"});
  EXPECT_NE(failure().find("no such file or directory"), std::string::npos);
  mounts_.Clear();
  add("overlay", "overlay", {"uidmap=0:100000:65536", "gidmap=0:100000:65536"});
  EXPECT_EQ(failure(), "failed to mount rootfs component: id-mapped overlay without lowerdir");
  EXPECT_EQ(new_mounts(), 0);
  run("test -z \"$(ls -d " + rootfs_ + ".layers* 2>/dev/null)\"");
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child remains";
}

TEST_F(RootfsOfMappedTest, NamesTheKernelThatItNeeds) {
  make("source");
  add("bind", dir_ / "source", {"rbind", "uidmap=0:100000:65536", "gidmap=0:100000:65536"});
  for (int errnum : {ENOSYS, EPERM})
    for (long call : {SYS_open_tree, SYS_mount_setattr, SYS_move_mount}) {
      const std::string text = failure_behind([&] { return test::refuse_calls(call, errnum); });
      EXPECT_NE(text.find("(idmapped mounts need open_tree(2), mount_setattr(2) and move_mount(2), "
                          "Linux 5.12): " +
                          errno_text(errnum)),
                std::string::npos)
          << text;
      EXPECT_EQ(new_mounts(), 0);
    }
}

// As after a process that was killed during a mount.
TEST_F(RootfsOfMappedTest, IsUnmountedWithTheLayersOfAKilledProcess) {
  make("source");
  add("bind", dir_ / "source", {"bind"}).mount_all();
  make("rootfs.layersAbCdEf");
  make("rootfs.layersGhIjKl");
  run("mount -t tmpfs tmpfs " + rootfs_ + ".layersAbCdEf");
  unmount_all(rootfs_);
  EXPECT_EQ(new_mounts(), 0);
  run("test -z \"$(ls -d " + rootfs_ + ".layers* 2>/dev/null)\"");
}

TEST(IdMap, IsReadFromText) {
  auto text = [](const std::vector<IdRange>& ranges) {
    std::string result;
    for (const IdRange& range : ranges)
      result += std::to_string(range.container) + "-" + std::to_string(range.host) + "-" +
                std::to_string(range.size) + " ";
    return result;
  };
  EXPECT_EQ(text(parse_id_map("0:100000:65536")), "0-100000-65536 ");
  EXPECT_EQ(text(parse_id_map("0:1:2,3:4:4294967295")), "0-1-2 3-4-4294967295 ");
  for (const char* bad : {"", ":", "0", "0:1", "0:1:", "0:1:2:", "0:1:2:3", "0:1:2,", ",0:1:2",
                          "-1:1:2", "0:1:4294967296", "a:1:2", "0:1:2 ", " 0:1:2", "0:1:2,,3:4:5"})
    EXPECT_THROW(parse_id_map(bad), Error) << bad;
}

// With a `mount.fuse3` of the test, first in PATH.
class RootfsOfHelperTest : public RootfsOfTest {
 protected:
  void install(const std::string& name, const std::string& script) {
    make("bin");
    write_file(dir_ / ("bin/" + name), "#!/bin/sh\n" + script, 0755);
    setenv("PATH", ((dir_ / "bin:") + path_).c_str(), 1);
  }
  void TearDown() override {
    setenv("PATH", path_.c_str(), 1);
    RootfsOfTest::TearDown();
  }
  const std::string path_ = getenv("PATH");
};

TEST_F(RootfsOfHelperTest, IsMountedByTheHelperForItsType) {
  for (std::string fuse : {"fuse", "fuse3"}) {
    install("mount." + fuse,
            "echo \"$@\" >" + (dir_ / "arguments") + "; mount -t tmpfs tmpfs \"$2\"\n");
    mounts_.Clear();
    add(fuse + ".overlayfs", "source", {"lowerdir=/a:/b", "ro"}).mount_all();
    EXPECT_EQ(get("arguments"), "source " + rootfs_ + " -o lowerdir=/a:/b -o ro -t overlayfs\n");
    EXPECT_EQ(new_mounts(), 1);
    unmount_recursive(rootfs_);
  }
}

TEST_F(RootfsOfHelperTest, QuotesTheOutputOfTheHelper) {
  install("mount.fuse3", "echo no such thing >&2; exit 3\n");
  add("fuse3.x", "source", {});
  EXPECT_EQ(failure(), "failed to mount rootfs component: mount helper [mount.fuse3 source " +
                           rootfs_ + " -t x] failed: \"no such thing\\n\": exit status 3");
  install("mount.fuse3", "kill -9 $$\n");
  EXPECT_NE(failure().find("killed by signal 9"), std::string::npos);
}

TEST_F(RootfsOfHelperTest, DoesNotWaitForTheDaemonThatTheHelperLeavesBehind) {
  // The daemon keeps the helper's stdout open until the test ends it.
  ASSERT_EQ(mkfifo((dir_ / "hold").c_str(), 0600), 0);
  install("mount.fuse3", "(read line <" + (dir_ / "hold") + ") & mount -t tmpfs tmpfs \"$2\"\n");
  add("fuse3.x", "source", {}).mount_all();
  EXPECT_EQ(new_mounts(), 1);
  Fd hold = open_file(dir_ / "hold", O_WRONLY);
}

TEST_F(RootfsOfHelperTest, SaysThatThereIsNoHelper) {
  setenv("PATH", dir_.path().c_str(), 1);
  add("fuse.x", "source", {});
  EXPECT_NE(failure().find("executable file not found in $PATH"), std::string::npos);
}

}  // namespace
}  // namespace thinshim
