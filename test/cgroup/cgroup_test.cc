// SPDX-License-Identifier: Apache-2.0
#include "cgroup/cgroup.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "own_groups.h"
#include "support/eventually.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

constexpr char kV1Mounts[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup "
    "rw,xattr,name=systemd\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime shared:11 master:2 - cgroup cgroup rw,memory\n"
    "35 31 0:32 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n";
constexpr char kHybridMount[] = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr char kV2Mounts[] =
    "25 30 0:6 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,size=12331664k\n"
    "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 "
    "rw,nsdelegate,memory_recursiveprot\n";

struct Place {
  const char* what;
  CgroupVersion version;
  std::string memberships;
  std::string mountinfo;
  const char* controller;
  const char* directory;
};

class Places : public testing::TestWithParam<Place> {};

TEST_P(Places, AreFoundFromTheTextsOfTheKernel) {
  const Place& place = GetParam();
  Cgroup group = Cgroup::parse(place.version, place.memberships, place.mountinfo);
  EXPECT_EQ(group.directory(place.controller), place.directory) << place.what;
}

const std::string kV1Group =
    "12:devices:/default/c1\n11:cpu,cpuacct:/default/c1\n5:memory:/default/c1/inner\n"
    "1:name=systemd:/system.slice/containerd.service\n";

INSTANTIATE_TEST_SUITE_P(
    Cgroup, Places,
    testing::Values(
        Place{"v1", CgroupVersion::v1, kV1Group, kV1Mounts, "devices",
              "/sys/fs/cgroup/devices/default/c1"},
        Place{"first of two controllers of one hierarchy", CgroupVersion::v1, kV1Group, kV1Mounts,
              "cpu", "/sys/fs/cgroup/cpu,cpuacct/default/c1"},
        Place{"second of two controllers of one hierarchy", CgroupVersion::v1, kV1Group, kV1Mounts,
              "cpuacct", "/sys/fs/cgroup/cpu,cpuacct/default/c1"},
        Place{"each hierarchy has its own path", CgroupVersion::v1, kV1Group, kV1Mounts, "memory",
              "/sys/fs/cgroup/memory/default/c1/inner"},
        Place{"named hierarchy", CgroupVersion::v1, kV1Group, kV1Mounts, "name=systemd",
              "/sys/fs/cgroup/systemd/system.slice/containerd.service"},
        Place{"controller without a mount", CgroupVersion::v1, "3:pids:/c\n", kV1Mounts, "pids",
              ""},
        Place{"unknown controller", CgroupVersion::v1, kV1Group, kV1Mounts, "pids", ""},
        Place{"the root group is not the container's", CgroupVersion::v1, "5:memory:/\n", kV1Mounts,
              "memory", ""},
        Place{"hybrid: v2's line is passed over", CgroupVersion::v1, kV1Group + "0::/default/c1\n",
              std::string(kHybridMount) + kV1Mounts, "devices",
              "/sys/fs/cgroup/devices/default/c1"},
        Place{"hybrid: v2 has no controllers", CgroupVersion::v1, "0::/default/c1\n",
              std::string(kV1Mounts) + kHybridMount, "", ""},
        Place{"v2", CgroupVersion::v2, "0::/system.slice/c1.scope\n", kV2Mounts, "",
              "/sys/fs/cgroup/system.slice/c1.scope"},
        Place{"v2: one directory for all controllers", CgroupVersion::v2, "0::/c1\n", kV2Mounts,
              "memory", "/sys/fs/cgroup/c1"},
        Place{"v2 with a named v1 hierarchy beside it", CgroupVersion::v2,
              "1:name=other:/x\n0::/c1\n", kV2Mounts, "", "/sys/fs/cgroup/c1"},
        Place{"v2 root group", CgroupVersion::v2, "0::/\n", kV2Mounts, "", ""},
        Place{"colons and blanks in the path", CgroupVersion::v2, "0::/a:b c::d\n", kV2Mounts, "",
              "/sys/fs/cgroup/a:b c::d"},
        Place{"mount point with escapes", CgroupVersion::v2, "0::/c1\n",
              "1 2 0:3 / /my\\040cgroups\\134x rw - cgroup2 none rw\n", "", "/my cgroups\\x/c1"},
        Place{"mount of a part of the hierarchy", CgroupVersion::v1, "5:memory:/docker/a/c1\n",
              "1 2 0:3 /docker/a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "memory",
              "/sys/fs/cgroup/memory/c1"},
        Place{
            "group outside the part that is mounted", CgroupVersion::v1, "5:memory:/docker/ab/c1\n",
            "1 2 0:3 /docker/a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "memory", ""},
        Place{"the mount that shows the group is taken", CgroupVersion::v1, "5:memory:/docker/b\n",
              "1 2 0:3 /docker/a /other rw - cgroup cgroup rw,memory\n"
              "3 2 0:3 /docker/b /mine rw - cgroup cgroup rw,memory\n",
              "memory", "/mine"},
        Place{"beside our cgroup namespace", CgroupVersion::v2, "0::/../c1\n",
              "1 2 0:3 /.. /sys/fs/cgroup rw - cgroup2 none rw\n", "", "/sys/fs/cgroup/c1"},
        Place{"outside of what our cgroup namespace shows", CgroupVersion::v2, "0::/../c1\n",
              kV2Mounts, "", ""},
        Place{"above our cgroup namespace", CgroupVersion::v2, "0::/..\n", kV2Mounts, "", ""},
        Place{"inside our namespace, mounted from outside", CgroupVersion::v2, "0::/c1\n",
              "1 2 0:3 /.. /sys/fs/cgroup rw - cgroup2 none rw\n", "", ""},
        Place{"nothing", CgroupVersion::v1, "", "", "memory", ""},
        Place{"texts that are no such texts", CgroupVersion::v2, "0:\n::\nx\n\n0",
              "- - - cgroup2\n \ncgroup2 cgroup2 cgroup2\n", "", ""}));

TEST(Cgroup, OfNoProcessHasNothing) {
  Cgroup none = Cgroup::of_process(999999999);
  EXPECT_FALSE(none.exists());
  EXPECT_TRUE(none.pids().empty());
  EXPECT_FALSE(Cgroup().exists());
}

class OwnGroups : public test::OwnGroups {
 protected:
  OwnGroups() : test::OwnGroups("devices") {}
};

TEST_F(OwnGroups, AreFoundByTheProcessInThem) {
  Cgroup group = Cgroup::of_process(process_in(inner_));
  EXPECT_EQ(group.version(), cgroup_version());
  EXPECT_EQ(group.directory("devices"), inner_);
  EXPECT_TRUE(group.exists());
}

// The cached mounts are read again where a hierarchy is missing.
TEST(Cgroup, IsFoundInAHierarchyThatWasMountedLater) {
  if (cgroup_version() == CgroupVersion::v2) return;  // it has only one hierarchy
  test::TempDir dir;
  Cgroup::of_process(::getpid());
  const std::string name = "name=thinshim-test-" + std::to_string(::getpid());
  auto mount = [&] {
    return ::mount("cgroup", dir.path().c_str(), "cgroup", 0, ("none," + name).c_str());
  };
  ASSERT_EQ(mount(), 0);
  const std::string group = dir / "group";
  ASSERT_EQ(::mkdir(group.c_str(), 0755), 0);
  const std::string self = std::to_string(::getpid());
  write_file(group + "/cgroup.procs", self, 0);
  EXPECT_EQ(Cgroup::of_process(::getpid()).directory(name), group);
  write_file(dir / "cgroup.procs", self, 0);
  EXPECT_EQ(::rmdir(group.c_str()), 0);
  // The kernel keeps the removed cgroup for a moment. A hierarchy that is unmounted in that moment
  // stays in every process's /proc/PID/cgroup without a mount, at which the stock shim fails.
  // Another umount removes it.
  auto is_gone = [&] {
    return read_file("/proc/self/cgroup").value().find(":" + name + ":") == std::string::npos;
  };
  EXPECT_TRUE(test::eventually([&] {
    EXPECT_EQ(::umount(dir.path().c_str()), 0);
    if (test::eventually(is_gone, test::Duration(100))) return true;
    EXPECT_EQ(mount(), 0);
    return false;
  }));
}

TEST_F(OwnGroups, HoldTheProcessesOfTheirSubGroups) {
  pid_t first = process_in(outer_);
  Cgroup group = Cgroup::of_process(first);
  pid_t second = process_in(inner_);
  pid_t third = process_in(outer_);
  std::vector<pid_t> all = {first, second, third};
  std::sort(all.begin(), all.end());
  EXPECT_EQ(group.pids(), all);
  EXPECT_EQ(Cgroup::of_process(second).pids(), std::vector<pid_t>{second});
}

TEST_F(OwnGroups, DoNotListTheDead) {
  pid_t first = process_in(outer_);
  Cgroup group = Cgroup::of_process(first);
  pid_t second = process_in(outer_);
  ::kill(first, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(first), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(group.pids(), std::vector<pid_t>{second});
}

TEST_F(OwnGroups, ThatWereRemovedAreEmpty) {
  pid_t pid = process_in(outer_);
  Cgroup group = Cgroup::of_process(pid);
  end(pid);
  EXPECT_TRUE(group.exists());
  EXPECT_TRUE(group.pids().empty());
  remove_groups();
  EXPECT_FALSE(group.exists());
  EXPECT_TRUE(group.pids().empty());
}

TEST_F(OwnGroups, AreRemovedByTheirPathWithTheEmptyGroupsInThem) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  const std::string other = outer_ + "/other";
  ASSERT_EQ(::mkdir(other.c_str(), 0755), 0);
  pid_t pid = process_in(inner_);
  EXPECT_FALSE(remove_empty_groups(path)) << "a process is in it";
  EXPECT_TRUE(std::filesystem::exists(inner_));
  EXPECT_FALSE(std::filesystem::exists(other)) << "no process is in it";
  end(pid);
  EXPECT_TRUE(remove_empty_groups(path));
  EXPECT_FALSE(std::filesystem::exists(outer_));
  EXPECT_TRUE(remove_empty_groups(path)) << "no cgroup remains";
}

TEST_F(OwnGroups, AreRemovedFromEveryHierarchy) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  const std::string memory = "/sys/fs/cgroup/memory" + path;
  if (cgroup_version() == CgroupVersion::v1) {
    ASSERT_EQ(::mkdir(memory.c_str(), 0755), 0);
  }
  EXPECT_TRUE(remove_empty_groups(path));
  EXPECT_FALSE(std::filesystem::exists(memory));
  EXPECT_FALSE(std::filesystem::exists(outer_));
}

TEST_F(OwnGroups, AreNotRemovedByAnythingButTheirPath) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  std::filesystem::remove(inner_);
  for (const std::string& other :
       {std::string(), std::string("/"), std::string("."), path.substr(1), path + "/",
        "/x/.." + path, path + "/x/..", "system.slice:x:" + path})
    EXPECT_TRUE(remove_empty_groups(other)) << other;
  EXPECT_TRUE(std::filesystem::exists(outer_));
}

TEST_F(OwnGroups, AreThoseOfTheProcessesInThem) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  const pid_t pid = process_in(inner_);
  for (const std::string& own : {path, path + "/inner", std::string("/inner")})
    EXPECT_TRUE(is_in_group(pid, own)) << own;
  for (const std::string& other : {std::string(), std::string("/"), path + "/", path + "/in",
                                   path + "/inner/x", path.substr(1)})
    EXPECT_FALSE(is_in_group(pid, other)) << other;
  EXPECT_FALSE(is_in_group(::getpid(), path));
  end(pid);
  EXPECT_FALSE(is_in_group(pid, path)) << "it is dead";
}

TEST_F(OwnGroups, AreThoseOfProcessesInAScopeOfSystemds) {
  const std::string scope = outer_ + "/cri-containerd-c1.scope";
  ASSERT_EQ(::mkdir(scope.c_str(), 0755), 0);
  const pid_t pid = process_in(scope);
  EXPECT_TRUE(is_in_group(pid, "kubepods.slice:cri-containerd:c1"));
  EXPECT_FALSE(is_in_group(pid, "kubepods.slice:cri-containerd:c"));
  EXPECT_FALSE(is_in_group(pid, "kubepods.slice:containerd:c1"));
  end(pid);
  std::filesystem::remove(scope);
}

// The directories of `path` in the hierarchies that have containers' cgroups.
std::vector<std::string> places_of(const std::string& path) {
  if (cgroup_version() == CgroupVersion::v2) return {"/sys/fs/cgroup" + path};
  std::vector<std::string> places;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/fs/cgroup"))
    if (entry.is_directory() && !entry.is_symlink() && entry.path().filename() != "unified")
      places.push_back(entry.path().string() + path);
  return places;
}

bool holds(const std::string& group, pid_t pid) {
  std::string lines = "\n" + read_file(group + "/cgroup.procs").value_or("");
  return lines.find("\n" + std::to_string(pid) + "\n") != std::string::npos;
}

TEST_F(OwnGroups, AreJoinedInEveryHierarchyAndMadeThere) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  const std::vector<std::string> places = places_of(path);
  ASSERT_FALSE(places.empty());
  pid_t pid = process_in(outer_);
  for (const std::string& given : {path + "/a/b", path + "/a/b", path + "/c/", path.substr(1)}) {
    join_cgroup(given, pid);
    std::string name = given.starts_with('/') ? given : "/" + given;
    if (name.back() == '/') name.pop_back();
    for (const std::string& place : places_of(name)) EXPECT_TRUE(holds(place, pid)) << place;
  }
  join_cgroup("/", pid);
  for (const std::string& place : places_of("")) EXPECT_TRUE(holds(place, pid)) << place;
  end(pid);
  for (const char* group : {"/a/b", "/a", "/c", ""})
    for (const std::string& place : places)
      if (place != outer_ || *group) remove_group(place + group);
}

TEST_F(OwnGroups, AreNotJoinedWhereThatFails) {
  const std::string path = outer_.substr(outer_.rfind('/'));
  pid_t pid = process_in(inner_);
  for (const std::string& other : {path + "/..", path + "/../x", std::string("..")})
    EXPECT_THROW(join_cgroup(other, pid), Error) << other;
  EXPECT_TRUE(holds(inner_, pid));
  end(pid);
  EXPECT_THROW(join_cgroup(path, pid), Error) << "there is no such process";
  for (const std::string& place : places_of(path))
    if (place != outer_) remove_group(place);
}

}  // namespace
}  // namespace thinshim
