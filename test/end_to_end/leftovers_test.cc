// SPDX-License-Identifier: Apache-2.0
// The check at the end of every other test here must be able to fail.
#include "support/leftovers.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "support/cgroups.h"
#include "support/end_to_end.h"

namespace thinshim::test {
namespace {

namespace fs = std::filesystem;

class LeftoversTest : public EndToEnd {
 protected:
  // Waits until exactly these leftovers are found; a child may not have called execve(2) yet.
  void expect_found(const std::string& description) {
    std::set<std::string> found;
    EXPECT_TRUE(eventually([&] {
      found = leftovers_.after({}, Duration(0));
      return found.size() == 1 && found.begin()->find(description) != std::string::npos;
    })) << description
        << " is not the one of " << found.size() << ", the first of which is "
        << (found.empty() ? "" : *found.begin());
  }
  void expect_nothing() { EXPECT_EQ(leftovers_.after(), std::set<std::string>()); }

  // EndToEnd's SetUp has started containerd, which runs before and after.
  void SetUp() override {
    EndToEnd::SetUp();
    leftovers_ = Leftovers(containerd_namespace_, {directory_ / "place"});
  }
  Leftovers leftovers_{"none"};
};

TEST_F(LeftoversTest, FindNothingWhereNothingHappened) { expect_nothing(); }

TEST_F(LeftoversTest, FindAProcess) {
  {
    Subprocess process({"sleep", "1000"});
    expect_found("sleep 1000");
  }
  expect_nothing();
}

TEST_F(LeftoversTest, FindAZombie) {
  Subprocess process({"true"});
  ASSERT_TRUE(eventually([&] { return test::process(process.pid()).state == 'Z'; }));
  expect_found("(a zombie) [true]");
  process.wait();
  expect_nothing();
}

TEST_F(LeftoversTest, FindAProcessThatLostItsParentUntilItEnds) {
  Subprocess parent({"sh", "-c", "sleep 1000 & echo $!"});
  const pid_t orphan = std::stoi(parent.wait().out);
  expect_found("sleep 1000");
  ::kill(orphan, SIGKILL);
  expect_nothing();  // process 1 has reaped it
}

TEST_F(LeftoversTest, FindAMount) {
  const fs::path place = directory_;
  ASSERT_EQ(mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr), 0);
  expect_found(place);
  ASSERT_EQ(umount2(place.c_str(), 0), 0);
  expect_nothing();
}

TEST_F(LeftoversTest, FindASocketOfAShim) {
  const char* path = "/run/containerd/s/a-socket";
  fs::create_directories("/run/containerd/s");
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  expect_found(path);
  unlink(path);
  expect_nothing();
}

TEST_F(LeftoversTest, FindStateOfRunc) {
  const fs::path state = "/run/containerd/runc/" + containerd_namespace_ + "/web";
  fs::create_directories(state);
  expect_found(state);
  fs::remove(state);
  expect_nothing();
}

TEST_F(LeftoversTest, FindACgroup) {
  // runc creates the namespace's cgroup with the first container, in every hierarchy, and leaves
  // it.
  ASSERT_TRUE(run("web", {"/bin/true"}).ok());
  expect_nothing();
  const std::vector<fs::path> groups = cgroups_named(containerd_namespace_);
  ASSERT_FALSE(groups.empty());
  for (const fs::path& group : groups) {
    ASSERT_TRUE(fs::create_directory(group / "web"));
    expect_found(group / "web");
    ASSERT_TRUE(fs::remove(group / "web"));
  }
  expect_nothing();
}

TEST_F(LeftoversTest, FindAnEntryInADirectoryOfTheirs) {
  fs::create_directories(directory_ / "place/bundle");
  expect_found("place/bundle");
  fs::remove(directory_ / "place/bundle");
  expect_nothing();
}

}  // namespace
}  // namespace thinshim::test
