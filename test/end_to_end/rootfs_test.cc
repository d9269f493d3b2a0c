// SPDX-License-Identifier: Apache-2.0
// Root file systems that the shim mounts for containerd.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>

#include "support/freezable_disk.h"
#include "support/shim_under_test.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class Rootfs : public ShimTest {
 protected:
  std::unique_ptr<TaskCalls> start_with_own_rootfs(const Words& args) {
    ContainerConfig config;
    config.rootfs = bundle("c1") / "rootfs";
    config.args = args;
    return start_shim("c1", config);
  }
  static void add_mount(api::CreateTaskRequest& request, const std::string& type,
                        const std::string& source, const Words& options,
                        const std::string& target = "") {
    containerd::types::Mount* mount = request.add_rootfs();
    mount->set_type(type);
    mount->set_source(source);
    mount->set_target(target);
    for (const std::string& option : options) mount->add_options(option);
  }
  int mounts_of(const std::string& id) const {
    std::ifstream list("/proc/self/mountinfo");
    int count = 0;
    for (std::string line; std::getline(list, line);)
      if (line.find(" " + (bundle(id) / "rootfs").string()) != std::string::npos) ++count;
    return count;
  }
  // Creates and starts it, waits for its exit with status 0, and deletes it.
  void run_to_its_end(TaskCalls& shim, const api::CreateTaskRequest& request) {
    shim.end(shim.create_begin(request));
    EXPECT_GE(mounts_of("c1"), request.rootfs_size());
    shim.start("c1");
    EXPECT_EQ(shim.wait("c1"), 0u);
    shim.remove("c1");
    EXPECT_EQ(mounts_of("c1"), 0);
  }
};

TEST_F(Rootfs, IsBoundAndUnmountedByDelete) {
  auto shim = start_with_own_rootfs({"/bin/true"});
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "bind", rootfs(), {"rbind", "ro"});
  shim->end(shim->create_begin(request));
  struct statvfs mounted = {};
  EXPECT_EQ(statvfs((bundle("c1") / "rootfs").c_str(), &mounted), 0);
  EXPECT_NE(mounted.f_flag & ST_RDONLY, 0u);  // crun lets its container write nevertheless
  shim->start("c1");
  EXPECT_EQ(shim->wait("c1"), 0u);
  shim->remove("c1");
  EXPECT_EQ(mounts_of("c1"), 0);
  end_shim(*shim);
}

TEST_F(Rootfs, IsPutTogetherFromSeveralMounts) {
  auto shim = start_with_own_rootfs({"/bin/sh", "-c", "touch /tmp/x && ls /bin/sh && touch /x"});
  fs::create_directories(directory_ / "upper");
  fs::create_directories(directory_ / "work");
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "overlay", "overlay",
            {"lowerdir=" + rootfs().string(), "upperdir=" + (directory_ / "upper").string(),
             "workdir=" + (directory_ / "work").string()});
  add_mount(request, "tmpfs", "tmpfs", {"size=1m", "nosuid"}, "/tmp");
  run_to_its_end(*shim, request);
  EXPECT_TRUE(fs::exists(directory_ / "upper/x"));
  EXPECT_FALSE(fs::exists(directory_ / "upper/tmp/x"));
  end_shim(*shim);
}

// The options are larger than the page that mount(2) takes.
TEST_F(Rootfs, MayHaveAHundredAndTwentyLayersWithLongNames) {
  auto shim = start_with_own_rootfs({"/bin/sh", "-c", "cat /layer-0 /layer-119 && touch /x"});
  const fs::path layers = directory_ / std::string(100, 'l');
  std::string lower;
  for (int i = 0; i < 120; ++i) {
    const fs::path layer = layers / (std::to_string(i) + std::string(60, 'x'));
    fs::create_directories(layer);
    std::ofstream(layer / ("layer-" + std::to_string(i))) << i;
    lower += layer.string() + ":";
  }
  lower += rootfs().string();
  fs::create_directories(directory_ / "upper");
  fs::create_directories(directory_ / "work");
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "overlay", "overlay",
            {"lowerdir=" + lower, "upperdir=" + (directory_ / "upper").string(),
             "workdir=" + (directory_ / "work").string()});
  EXPECT_GT(lower.size(), 16000u);
  run_to_its_end(*shim, request);
  end_shim(*shim);
}

TEST_F(Rootfs, MayBeAnImageOfAFileSystem) {
  const fs::path image = directory_ / "image";
  std::ofstream(image).close();
  fs::resize_file(image, 16 << 20);
  const Outcome made = test::run({"mke2fs", "-q", "-t", "ext4", "-d", rootfs(), image});
  ASSERT_TRUE(made.ok()) << made;
  auto shim = start_with_own_rootfs({"/bin/sh", "-c", "test -d /lost+found && ! touch /x"});
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "ext4", image, {"loop", "ro"});
  run_to_its_end(*shim, request);
  EXPECT_TRUE(eventually([&] {
    for (const auto& device : fs::directory_iterator("/sys/block"))
      if (read(device.path() / "loop/backing_file") == image.string() + "\n") return false;
    return true;
  })) << "the loop device is still there";
  end_shim(*shim);
}

TEST_F(Rootfs, MayBeMountedByAHelper) {
  for (const char* name : {"upper", "work"}) fs::create_directory(directory_ / name);
  auto shim = start_with_own_rootfs(
      {"/bin/sh", "-c", "grep ' / fuse.fuse-overlayfs ' /proc/mounts && touch /x"});
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "fuse3.fuse-overlayfs", "overlay",
            {"lowerdir=" + rootfs().string(), "upperdir=" + (directory_ / "upper").string(),
             "workdir=" + (directory_ / "work").string()});
  run_to_its_end(*shim, request);
  EXPECT_TRUE(fs::exists(directory_ / "upper/x"));
  end_shim(*shim);
}

// As containerd requests it for a container with a user namespace: files belong to the container's
// users there, and keep their owners on the host. On a disk, because only Linux 6.3 and later map
// the ids of a tmpfs.
TEST_F(Rootfs, ShowsFilesWithTheOwnersOfAUserNamespace) {
  const FreezableDisk disk(directory_ / "image", directory_ / "disk");
  const fs::path files = directory_ / "disk/rootfs", lower = directory_ / "disk/lower";
  fs::copy(rootfs(), files, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (const char* name : {"upper", "work"}) {
    fs::create_directory(directory_ / name);
    check(::chown((directory_ / name).c_str(), 100000, 100000), "chown");
  }
  const Words mapped = {"uidmap=0:100000:65536", "gidmap=0:100000:65536"};
  fs::create_directory(lower);
  std::ofstream(lower / "file");
  const std::string layers = "lowerdir=" + lower.string() + ":" + files.string();
  const std::string upper = "upperdir=" + (directory_ / "upper").string();
  const std::string work = "workdir=" + (directory_ / "work").string();
  for (bool overlay : {false, true}) {
    SCOPED_TRACE(overlay ? "overlay" : "bind");
    ContainerConfig config;
    config.rootfs = bundle("c1") / "rootfs";
    config.first_host_id = 100000;
    config.args = {"/bin/sh", "-c", "test \"$(stat -c %u:%g /bin/sh)\" = 0:0"};
    if (overlay) config.args.back() += " && test \"$(stat -c %u:%g /file)\" = 0:0 && touch /x";
    auto shim = start_shim("c1", config);
    api::CreateTaskRequest request = create_request("c1");
    if (overlay) {
      add_mount(request, "overlay", "overlay", Words{layers, upper, work} + mapped);
    } else {
      add_mount(request, "bind", files, Words{"rbind"} + mapped);
    }
    run_to_its_end(*shim, request);
    end_shim(*shim);
  }
  struct stat status{};
  check(::stat((directory_ / "upper/x").c_str(), &status), "stat");
  EXPECT_EQ(status.st_uid, 100000u);
  EXPECT_EQ(status.st_gid, 100000u);
}

TEST_F(Rootfs, OfWhichAMountFailsIsTakenDownAgain) {
  auto shim = start_with_own_rootfs({"/bin/true"});
  for (const char* type : {"bind", "no-such-type", "overlay"}) {
    api::CreateTaskRequest request = create_request("c1");
    add_mount(request, "bind", rootfs(), {"rbind"});
    add_mount(request, type, "/no/such/source", {"rbind", "lowerdir=/no/such/lower"});
    Error error = shim->refusal_of(shim->create_begin(request));
    EXPECT_EQ(std::string(error.what()).rfind("failed to mount rootfs component", 0), 0u)
        << error.what();
    EXPECT_EQ(mounts_of("c1"), 0) << type;
    EXPECT_FALSE(fs::exists("/run/containerd/runc/" + namespace_ + "/c1"));
  }
  EXPECT_TRUE(history().empty());
  end_shim(*shim);
}

TEST_F(Rootfs, OfAContainerThatCannotBeCreatedIsTakenDownAgain) {
  auto shim = start_with_own_rootfs({"/no/such/program"});
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "bind", rootfs(), {"rbind"});
  Error error = shim->refusal_of(shim->create_begin(request));
  EXPECT_TRUE(contains(error, "OCI runtime create failed")) << error.what();
  EXPECT_EQ(mounts_of("c1"), 0);
  end_shim(*shim);
}

TEST_F(Rootfs, ThatIsBusyIsUnmountedOnceItIsFree) {
  auto shim = start_with_own_rootfs({"/bin/true"});
  api::CreateTaskRequest request = create_request("c1");
  add_mount(request, "tmpfs", "tmpfs", {"mode=755"});
  // The program is missing in it: only the unmounting is tested.
  Error error = shim->refusal_of(shim->create_begin(request));
  EXPECT_TRUE(contains(error, "OCI runtime create failed")) << error.what();
  request.clear_rootfs();
  add_mount(request, "bind", rootfs(), {"rbind"});
  shim->end(shim->create_begin(request));
  shim->start("c1");
  shim->wait("c1");
  Fd user = open_file(bundle("c1") / "rootfs/bin/busybox", O_RDONLY);
  auto removing = shim->remove_begin("c1");
  shim->pass(300ms);
  EXPECT_FALSE(removing->done.is_set());
  EXPECT_EQ(shim->state("c1").status(), types::STOPPED) << "other calls are answered";
  user.reset();
  shim->end(removing);
  EXPECT_EQ(mounts_of("c1"), 0);
  end_shim(*shim);
}

}  // namespace
}  // namespace thinshim::test
