// SPDX-License-Identifier: Apache-2.0
#include "oci/mount_options.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include "base/error.h"

namespace thinshim {
namespace {

using Strings = std::vector<std::string>;

TEST(MountOptions, TellFlagsFromData) {
  struct Case {
    Strings words;
    unsigned long flags;
    unsigned long propagation;
    Strings data;
  };
  const Case cases[] = {
      {{}, 0, 0, {}},
      {{"ro", "nosuid", "size=1m", "mode=700"}, MS_RDONLY | MS_NOSUID, 0, {"size=1m", "mode=700"}},
      {{"rbind", "rprivate"}, MS_BIND | MS_REC, MS_PRIVATE | MS_REC, {}},
      {{"bind", "rprivate", "ro"}, MS_BIND | MS_RDONLY, MS_PRIVATE | MS_REC, {}},
      {{"bind", "private", "shared"}, MS_BIND, MS_SHARED, {}},
      {{"ro", "rw"}, 0, 0, {}},
      {{"rw", "ro"}, MS_RDONLY, 0, {}},
      {{"noexec", "nodev", "nosuid", "exec", "dev", "suid"}, 0, 0, {}},
      {{"noatime", "nodiratime", "strictatime", "relatime"},
       MS_NOATIME | MS_NODIRATIME | MS_STRICTATIME | MS_RELATIME,
       0,
       {}},
      {{"noatime", "nodiratime", "strictatime", "relatime", "atime", "diratime", "nostrictatime",
        "norelatime"},
       0,
       0,
       {}},
      {{"sync", "dirsync", "mand", "lazytime", "silent", "nosymfollow", "remount"},
       MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME | MS_SILENT | MS_NOSYMFOLLOW |
           MS_REMOUNT,
       0,
       {}},
      {{"sync", "mand", "lazytime", "silent", "nosymfollow", "async", "nomand", "nolazytime",
        "loud", "symfollow"},
       0,
       0,
       {}},
      {{"defaults"}, 0, 0, {}},
      {{"userxattr", "index=off", "", "RO", "bind=x"},
       0,
       0,
       {"userxattr", "index=off", "", "RO", "bind=x"}},
  };
  for (const Case& c : cases) {
    MountOptions options = parse_mount_options(c.words);
    EXPECT_EQ(options.flags, c.flags) << join_data(c.words);
    EXPECT_EQ(options.propagation, c.propagation) << join_data(c.words);
    EXPECT_EQ(options.data, c.data) << join_data(c.words);
  }
}

TEST(MountOptions, OfTheShimAreRemoved) {
  MountOptions options = parse_mount_options({"loop", "uidmap=0:1:2", "gidmap=3:4:5", "x"});
  EXPECT_TRUE(options.loop);
  EXPECT_EQ(options.uidmap, "0:1:2");
  EXPECT_EQ(options.gidmap, "3:4:5");
  EXPECT_EQ(options.data, Strings{"x"});
  EXPECT_THROW(parse_mount_options({"X-containerd.mkdir.path=/x"}), Error);
}

TEST(MountData, IsSplitAtCommas) {
  const std::pair<Strings, Strings> cases[] = {
      {{}, {}},
      {{"a=b"}, {"a=b"}},
      {{"a=b,c", "d"}, {"a=b", "c", "d"}},
      {{R"(lowerdir=/a\,b:/c)"}, {R"(lowerdir=/a\,b:/c)"}},
      {{R"(context="s0:c1,c2",x)"}, {R"(context="s0:c1,c2")", "x"}},
      {{R"(a\)"}, {R"(a\)"}},
  };
  for (const auto& [data, options] : cases) {
    EXPECT_EQ(split_data(data), options) << join_data(data);
    EXPECT_EQ(join_data(split_data(data)), join_data(data));
  }
}

TEST(LowerDirs, AreReadAndWritten) {
  const std::pair<std::string, Strings> cases[] = {
      {"lowerdir=/a", {"/a"}},
      {"lowerdir=/a:/b", {"/a", "/b"}},
      {R"(lowerdir=/a\:b:/c\\:/d)", {R"(/a\:b)", R"(/c\\)", "/d"}},
      {"lowerdir=/a::/b:/c", {"/a", "", "/b", "/c"}},
      {"lowerdir=", {""}},
  };
  for (const auto& [option, dirs] : cases) {
    EXPECT_EQ(lower_dirs(option), dirs) << option;
    EXPECT_EQ(lowerdir_option(dirs), option);
  }
}

TEST(LowerDirs, AreEscaped) {
  EXPECT_EQ(escape_layer(R"(/a:b,c\d)"), R"(/a\:b\,c\\d)");
  for (const char* path : {"/plain/path", R"(/a:b,c\d)", R"(\)"})
    EXPECT_EQ(unescape_layer(escape_layer(path)), path);
}

TEST(LowerDirs, HaveACommonDirectory) {
  const std::pair<Strings, std::optional<std::string>> cases[] = {
      {{"/s/1/fs", "/s/2/fs"}, "/s/"},    {{"/s/12/fs", "/s/1/fs"}, "/s/"},  // not /s/1
      {{"/s/1/fs", "/s/1/fs2"}, "/s/1/"}, {{"/s/1/fs"}, "/s/1/"},
      {{"/s/1", "", "/s/2"}, "/s/"},      {{"/s/1", "/s/1/fs"}, "/s/"},
      {{"/s/1/", "/s/1/fs"}, "/s/"},      {{"/a/1", "/b/1"}, std::nullopt},
      {{"/a", "/ab"}, std::nullopt},      {{"a/1", "a/2"}, std::nullopt},
      {{"/a/1", "a/2"}, std::nullopt},    {{}, std::nullopt},
  };
  for (const auto& [dirs, expected] : cases)
    EXPECT_EQ(common_directory(dirs), expected) << lowerdir_option(dirs);
}

}  // namespace
}  // namespace thinshim
