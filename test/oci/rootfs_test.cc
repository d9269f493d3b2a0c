// SPDX-License-Identifier: Apache-2.0
#include "oci/rootfs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "oci/mount_options.h"
#include "oci/rootfs_fixture.h"
#include "oci/unmount.h"
#include "support/older_kernel.h"

namespace thinshim {
namespace {

using Strings = std::vector<std::string>;

using RootfsTest = test::RootfsFixture;

TEST_F(RootfsTest, OfNoMountsIsLeftAlone) {
  mount_all();
  EXPECT_NE(access(rootfs_.c_str(), F_OK), 0);
}

TEST_F(RootfsTest, IsMadeWhereItIsMissing) {
  add("tmpfs", "tmpfs", {"size=1m", "mode=750", "nosuid", "noexec"}).mount_all();
  EXPECT_EQ(new_mounts(), 1);
  EXPECT_EQ(flags() & (ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RDONLY),
            static_cast<unsigned long>(ST_NOSUID | ST_NOEXEC));
  struct stat status{};
  ASSERT_EQ(stat(rootfs_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0750u);
  unmount_recursive(rootfs_);
  ASSERT_EQ(stat(rootfs_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0711u);
}

TEST_F(RootfsTest, IsABindMountAndReadOnlyIfRequested) {
  make("source/sub");
  ASSERT_EQ(mount("tmpfs", (dir_ / "source/sub").c_str(), "tmpfs", 0, ""), 0);
  put("source/sub/f", "x");
  for (bool read_only : {false, true}) {
    mounts_.Clear();
    add("bind", dir_ / "source", {"rbind", read_only ? "ro" : "rw"}).mount_all();
    EXPECT_EQ(new_mounts(), 3);
    EXPECT_EQ(get("rootfs/sub/f"), "x");
    EXPECT_EQ(static_cast<bool>(flags() & ST_RDONLY), read_only);
    EXPECT_EQ(static_cast<bool>(try_open(rootfs_ + "/new", O_CREAT | O_WRONLY, 0600)), !read_only);
    unmount_recursive(rootfs_);
    EXPECT_EQ(new_mounts(), 1);
  }
}

TEST_F(RootfsTest, GetsItsPropagationInASeparateCall) {
  make("source");
  add("bind", dir_ / "source", {"bind", "ro", "rshared"}).mount_all();
  EXPECT_NE(mount_line(rootfs_).find(" shared:"), std::string::npos) << mount_line(rootfs_);
  EXPECT_TRUE(flags() & ST_RDONLY);
}

TEST_F(RootfsTest, IsAnOverlay) {
  add("overlay", "overlay",
      overlay_options(layers(3, [](int i) { return "layer" + std::to_string(i); })))
      .mount_all();
  expect_overlay_of(3);
}

TEST_F(RootfsTest, IsAReadOnlyOverlayWithoutAnUpperDirectory) {
  Strings lower = layers(2, [](int i) { return "layer" + std::to_string(i); });
  add("overlay", "overlay", {"ro," + lowerdir_option(lower)}).mount_all();
  EXPECT_TRUE(flags() & ST_RDONLY);
  EXPECT_EQ(get("rootfs/shared"), "0");
}

TEST_F(RootfsTest, IsAnOverlayWhoseOptionsFitNoPage) {
  Strings lower = layers(100, [](int i) { return "a/long/way/to/get/there/" + std::to_string(i); });
  Strings options = overlay_options(lower);
  ASSERT_GT(join_data(options).size(), 4096u);
  char before[4096];
  ASSERT_NE(getcwd(before, sizeof before), nullptr);
  add("overlay", "overlay", options).mount_all();
  expect_overlay_of(100);
  char after[4096];
  ASSERT_NE(getcwd(after, sizeof after), nullptr);
  EXPECT_STREQ(before, after);
}

TEST_F(RootfsTest, IsAnOverlayOfAsManyLayersAsTheKernelTakes) {
  Strings lower = layers(499, [](int i) {
    return std::string(static_cast<std::size_t>(20 + i % 200), static_cast<char>('a' + i % 26)) +
           std::to_string(i);
  });
  Strings options = overlay_options(lower);
  options.insert(options.begin(), {"nosuid", "noatime", "volatile"});
  add("overlay", "overlay", options).mount_all();
  expect_overlay_of(499);
  EXPECT_TRUE(flags() & ST_NOSUID);
  EXPECT_TRUE(flags() & ST_NOATIME);
  EXPECT_NE(mount_line(rootfs_).find("volatile"), std::string::npos);
}

TEST_F(RootfsTest, TakesOptionsUpToTheEndOfThePageAndBeyond) {
  std::string dirs = lowerdir_option(layers(2, [](int i) { return "layer" + std::to_string(i); }));
  for (std::size_t size : {4094, 4095, 4096, 4097}) {
    mounts_.Clear();
    // Repeated slashes only make the path of the second layer longer.
    add("overlay", "overlay", {dirs + std::string(size - dirs.size(), '/')}).mount_all();
    EXPECT_EQ(get("rootfs/shared"), "0") << size;
    EXPECT_EQ(get("rootfs/own1"), "x") << size;
    unmount_recursive(rootfs_);
  }
}

TEST_F(RootfsTest, IsAnOverlayWhoseLayersHaveLongPathsEach) {
  std::string deep = std::string(200, 'd') + "/" + std::string(200, 'e') + "/";
  Strings lower = layers(40, [&](int i) {
    return std::string(1, static_cast<char>('a' + i % 20)) + deep + std::to_string(i);
  });
  make(deep + "upper");
  make(deep + "work");
  ASSERT_EQ(symlink((deep + "upper").c_str(), (dir_ / "upper").c_str()), 0);
  add("overlay", "overlay",
      {"workdir=" + (dir_ / (deep + "work")), "upperdir=" + (dir_ / (deep + "upper")),
       lowerdir_option(lower)});
  mount_all();
  expect_overlay_of(40);
}

TEST_F(RootfsTest, IsAnOverlayOfLayersWithOddNames) {
  for (int count : {2, 200}) {
    SCOPED_TRACE(count);
    std::string odd = R"(a:b,c\d "e")";
    if (count == 200) odd += std::string(80, 'x');
    Strings options = overlay_options(layers(
        count, [&](int i) { return odd + std::to_string(count) + "-" + std::to_string(i); }));
    mounts_.Clear();
    add("overlay", "overlay", options).mount_all();
    expect_overlay_of(count);
    unmount_recursive(rootfs_);
  }
}

TEST_F(RootfsTest, NamesTheMountThatFailedAndUnmountsTheOthers) {
  make("source/sub");
  add("bind", dir_ / "source", {"bind"})
      .add("tmpfs", "tmpfs", {}, "sub")
      .add("overlay", "overlay", {"ro", "lowerdir=" + (dir_ / "none")}, "sub");
  EXPECT_EQ(failure(), "failed to mount rootfs component: mount source: \"overlay\", target: \"" +
                           rootfs_ + "/sub\", fstype: overlay, flags: 1, data: \"lowerdir=" +
                           (dir_ / "none") + "\", err: no such file or directory");
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsTest, UnmountsAMountWhoseLaterStepFailed) {
  make("source");
  // The kernel rejects an empty id map, which is set after the bind.
  add("bind", dir_ / "source", {"bind", "uidmap=0:0:0", "gidmap=0:0:0"});
  EXPECT_NE(failure(), "");
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsTest, NamesOptionsThatNoKernelTakes) {
  std::string missing = lowerdir_option(Strings(200, dir_ / std::string(100, 'x')));
  add("overlay", "overlay", {missing});
  std::string text = failure();
  EXPECT_NE(text.find("no such file or directory"), std::string::npos) << text;
  mounts_.Clear();
  add("tmpfs", "tmpfs", {"size=1" + std::string(5000, '0')});
  EXPECT_NE(failure().find("err: mount options is too long"), std::string::npos);
  mounts_.Clear();
  Strings lower = layers(200, [](int i) { return std::string(100, 'x') + std::to_string(i); });
  add("overlay", "overlay", {lowerdir_option(lower), "nonsense=1"});
  EXPECT_NE(failure().find("nonsense"), std::string::npos);
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsTest, RefusesZeroBytesAndForeignOptions) {
  const std::string zero("tmp\0fs", 6);
  for (int place = 0; place < 4; ++place) {
    auto word = [&](int mine) { return place == mine ? zero : std::string("tmpfs"); };
    mounts_.Clear();
    add(word(0), word(1), {word(2)}, place == 3 ? zero : "");
    EXPECT_NE(failure().find("contains a NUL byte"), std::string::npos) << place;
  }
  mounts_.Clear();
  add("tmpfs", "tmpfs", {"X-containerd.mkdir.path=x"});
  EXPECT_EQ(failure(),
            "failed to mount rootfs component: internal mount option \"X-containerd.mkdir.path=x\" "
            "was not consumed by the mount manager");
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsTest, KeepsTargetsInsideOfItself) {
  make("source/inside");
  make("outside");
  make("source/outside");
  ASSERT_EQ(symlink("/outside", (dir_ / "source/absolute").c_str()), 0);
  ASSERT_EQ(symlink("../../../../../../outside", (dir_ / "source/upwards").c_str()), 0);
  ASSERT_EQ(symlink("absolute", (dir_ / "source/twice").c_str()), 0);
  const std::pair<const char*, const char*> cases[] = {
      {"inside", "/inside"},
      {"/inside", "/inside"},
      {"outside/../inside", "/inside"},
      {"absolute", "/outside"},
      {"upwards", "/outside"},
      {"twice", "/outside"},
      {"../../outside", "/outside"},
      {"absolute/../inside", "/inside"},
  };
  for (auto [target, place] : cases) {
    mounts_.Clear();
    add("bind", dir_ / "source", {"bind"}).add("tmpfs", "tmpfs", {}, target).mount_all();
    EXPECT_NE(mount_line(rootfs_ + place).find("tmpfs"), std::string::npos) << target;
    EXPECT_EQ(new_mounts(), 2);
    unmount_recursive(rootfs_);
    EXPECT_EQ(new_mounts(), 0);
  }
  mounts_.Clear();
  add("bind", dir_ / "source", {"bind"}).add("tmpfs", "tmpfs", {}, "missing");
  EXPECT_EQ(failure(),
            "failed to mount rootfs component: failed to join path \"missing\" with root \"" +
                rootfs_ + "\": no such file or directory");
  ASSERT_EQ(symlink("ring", (dir_ / "source/ring").c_str()), 0);
  mounts_.Clear();
  add("bind", dir_ / "source", {"bind"}).add("tmpfs", "tmpfs", {}, "ring/inside");
  EXPECT_NE(failure().find(errno_text(ELOOP)), std::string::npos) << failure();
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(RootfsTest, HasItsTargetsOnOlderKernelsToo) {
  make("source/inside");
  add("bind", dir_ / "source", {"bind"}).add("tmpfs", "tmpfs", {}, "inside");
  for (int errnum : {ENOSYS, EPERM}) {
    EXPECT_EQ(failure_behind([&] { return test::refuse_calls(test::kAllNewerCalls, errnum); }), "");
    EXPECT_NE(mount_line(rootfs_ + "/inside").find("tmpfs"), std::string::npos);
    unmount_recursive(rootfs_);
  }
}

// A process keeps exchanging a directory in the target's path with a symbolic link that leads out
// of the root file system.
class SwappedRootfs : public test::RootfsFixture {
 protected:
  void SetUp() override {
    RootfsFixture::SetUp();
    make("source/way/place");
    make("outside/place");
    std::string way = dir_ / "source/way", link = dir_ / "source/link";
    check(symlink((dir_ / "outside").c_str(), link.c_str()), "symlink");
    swapper_ = check(fork(), "fork");
    if (swapper_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) renameat2(AT_FDCWD, way.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
  }
  void TearDown() override {
    kill(swapper_, SIGKILL);
    waitpid(swapper_, nullptr, 0);
    RootfsFixture::TearDown();
  }
  void clean_up() {
    kill(swapper_, SIGSTOP);
    waitpid(swapper_, nullptr, WUNTRACED);
    unmount_recursive(rootfs_);
    kill(swapper_, SIGCONT);
  }

  const std::string outside_ = dir_ / "outside/place";

 private:
  pid_t swapper_ = -1;
};

TEST_F(SwappedRootfs, HasNoMountOutsideOfItself) {
  add("bind", dir_ / "source", {"bind"}).add("tmpfs", "tmpfs", {}, "way/place");
  for (int round = 0; round < 300; ++round) {
    failure();
    ASSERT_EQ(mount_line(outside_), "") << round;
    clean_up();
  }
  EXPECT_EQ(new_mounts(), 0);
}

TEST_F(SwappedRootfs, UnmountsNothingOutsideOfItself) {
  ASSERT_EQ(mount("tmpfs", outside_.c_str(), "tmpfs", 0, ""), 0);
  add("bind", dir_ / "source", {"bind"})
      .add("tmpfs", "tmpfs", {}, "way/place")
      .add("tmpfs", "tmpfs", {}, "missing");
  for (int round = 0; round < 300; ++round) {
    EXPECT_NE(failure(), "");
    ASSERT_NE(mount_line(outside_), "") << round;
    ASSERT_EQ(new_mounts(), 1) << round;
  }
}

TEST_F(RootfsTest, UnmountsOnlyItsOwnMounts) {
  make("rootfs");
  make("source");
  ASSERT_EQ(mount("tmpfs", rootfs_.c_str(), "tmpfs", 0, ""), 0);
  add("tmpfs", "tmpfs", {"size=1m"})
      .add("tmpfs", "tmpfs", {"remount", "size=2m"})
      .add("tmpfs", "tmpfs", {}, "missing");
  EXPECT_NE(failure(), "");
  EXPECT_EQ(new_mounts(), 1);
}

}  // namespace
}  // namespace thinshim
