// SPDX-License-Identifier: Apache-2.0
// Containers from an image: containerd passes mounts to the shim, which mounts them at Create and
// unmounts them at Delete.
#include "support/busybox.h"
#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

constexpr const char* kImage = "docker.io/library/busybox:test";

class Image : public EndToEnd, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    EndToEnd::SetUp();
    make_image_archive(rootfs(), directory_ / "image.tar", kImage);
    const Outcome imported = ctr_({"images", "import", "--no-unpack", directory_ / "image.tar"});
    ASSERT_TRUE(imported.ok()) << imported;
  }

  Outcome run_image(const Words& flags, const std::string& id, const Words& command) {
    return ctr_(Words{"run", "--snapshotter", GetParam()} + flags + Words{kImage, id} + command);
  }

  std::string mounts_of_bundle(const std::string& id) const {
    const std::filesystem::path target = containerd_.bundles(containerd_namespace_) / id / "rootfs";
    return test::run({"findmnt", "--noheadings", "--output", "FSTYPE", target}).out;
  }
};

TEST_P(Image, HasTheFilesOfTheImageAndIsWritable) {
  const Outcome outcome =
      run_image({"--rm"}, "web", {"sh", "-c", "echo text > /new; cat /new /etc/group; exit 2"});
  EXPECT_EQ(outcome.exit_code, 2) << outcome;
  EXPECT_EQ(outcome.out, "text\nroot:x:0:\nnogroup:x:65534:\n");
}

TEST_P(Image, IsMountedWhileTheTaskExists) {
  const Outcome started = run_image({"--detach", "--null-io"}, "web", {"sleep", "1000"});
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_FALSE(mounts_of_bundle("web").empty());
  EXPECT_EQ(exec("web", {"cat", "/etc/group"}).out, "root:x:0:\nnogroup:x:65534:\n");
  remove("web");
}

TEST_P(Image, LeavesNoMountWhenTheProgramIsMissing) {
  const Outcome outcome = run_image({"--rm"}, "web", {"/no-such-program"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_NE(outcome.err.find("/no-such-program"), std::string::npos) << outcome;
}

TEST_P(Image, IsUnmountedAfterACrashOfTheShim) {
  ASSERT_TRUE(run_image({"--detach", "--null-io"}, "web", {"sleep", "1000"}).ok());
  ::kill(only_shim().pid, SIGKILL);
  EXPECT_TRUE(has_status("web", ""));
  remove("web");
}

TEST_P(Image, StaysMountedWhileContainerdIsAway) {
  ASSERT_TRUE(run_image({"--detach", "--null-io"}, "web", {"sleep", "1000"}).ok());
  containerd_.kill();
  containerd_.start();
  EXPECT_EQ(exec("web", {"cat", "/etc/group"}).out, "root:x:0:\nnogroup:x:65534:\n");
  remove("web");
}

INSTANTIATE_TEST_SUITE_P(BySnapshotter, Image, ::testing::Values("overlayfs", "native"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace thinshim::test
