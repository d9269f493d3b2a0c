// SPDX-License-Identifier: Apache-2.0
#include "oci/group_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

class GroupRecord : public testing::Test {
 protected:
  GroupMember member(const std::string& id) const {
    return {id,
            "/run/bundles/" + id,
            {"/opt/my runc", "/run/runc/k8s.io", true, true},
            "/pods/" + id,
            "/images/7"};
  }
  void expect_same(const GroupMember& wanted) {
    const std::optional<GroupMember> found = read_member(bundle_.path(), wanted.id);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->id, wanted.id);
    EXPECT_EQ(found->bundle, wanted.bundle);
    EXPECT_EQ(found->runtime.binary, wanted.runtime.binary);
    EXPECT_EQ(found->runtime.root, wanted.runtime.root);
    EXPECT_EQ(found->runtime.systemd_cgroup, wanted.runtime.systemd_cgroup);
    EXPECT_EQ(found->cgroups_path, wanted.cgroups_path);
    EXPECT_EQ(found->root_path, wanted.root_path);
  }
  test::TempDir bundle_;
};

TEST_F(GroupRecord, HoldsTheFieldsThatDeleteReads) {
  GroupMember one = member("one");
  one.write_to(bundle_.path());
  expect_same(one);
  one.runtime = {"runc", "/run/containerd/runc/default", false};
  one.cgroups_path = "";
  one.write_to(bundle_.path());
  expect_same(one);
}

TEST_F(GroupRecord, ExistsPerContainerUntilItIsRemoved) {
  for (const char* id : {"a", "a.b", "init"}) member(id).write_to(bundle_.path());
  std::vector<std::string> ids = member_ids(bundle_.path());
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<std::string>{"a", "a.b", "init"}));
  remove_member(bundle_.path(), "a");
  remove_member(bundle_.path(), "a");
  EXPECT_EQ(read_member(bundle_.path(), "a").has_value(), false);
  expect_same(member("a.b"));
  struct stat status{};
  EXPECT_EQ(::stat((bundle_ / "a.b.member").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(GroupRecord, IsEmptyWithoutABundle) {
  EXPECT_TRUE(member_ids(bundle_ / "none").empty());
  EXPECT_NO_THROW(remove_member(bundle_ / "none", "a"));
  EXPECT_THROW(member("a").write_to(bundle_ / "none"), Error);
}

TEST_F(GroupRecord, ThatIsInvalidIsRefused) {
  member("a").write_to(bundle_.path());
  const std::string whole = read_file(bundle_ / "a.member").value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(bundle_ / "a.member", whole.substr(0, size), 0600);
    EXPECT_THROW(read_member(bundle_.path(), "a"), Error) << size;
  }
  write_file(bundle_ / "a.member", whole + "what a later version adds", 0600);
  expect_same(member("a"));
  std::filesystem::remove(bundle_ / "a.member");
  std::filesystem::create_symlink("/etc/passwd", bundle_ / "a.member");
  EXPECT_THROW(read_member(bundle_.path(), "a"), Error) << "no link is followed";
}

// A record must not lead out of the bundle.
TEST_F(GroupRecord, IgnoresFilesWithoutAValidId) {
  for (const char* name : {".member", "..member", "-a.member", "a..b.member", "member"})
    write_file(bundle_ / name, "x", 0600);
  EXPECT_TRUE(member_ids(bundle_.path()).empty());
}

}  // namespace
}  // namespace thinshim
