// SPDX-License-Identifier: Apache-2.0
#include "oci/spec.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;
using Group = std::optional<std::string>;

constexpr const char* kGroupKey = "\"io.containerd.runc.v2.group\"";
constexpr const char* kSandboxKey = "\"io.kubernetes.cri.sandbox-id\"";

class SpecTest : public testing::Test {
 protected:
  const std::string& config(const std::string& json) {
    write_file(path_, json, 0600);
    return path_;
  }
  Group group(const std::string& json) { return group_of(config(json)); }
  Group group_in(const std::string& annotations) {
    return group("{\"ociVersion\":\"1.1.0\",\"annotations\":" + annotations + ",\"linux\":{}}");
  }
  ContainerSpec container(const std::string& json) { return read_container_spec(config(json)); }

  template <class Reading>
  std::string failure(Reading reading) {
    try {
      reading();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TempDir dir_;
  const std::string path_ = dir_ / "config.json";
};

using GroupTest = SpecTest;

TEST_F(GroupTest, IsTheFirstAnnotationOfTwo) {
  std::string group = std::string(kGroupKey) + ":\"g\"";
  std::string sandbox = std::string(kSandboxKey) + ":\"s\"";
  const std::pair<std::string, Group> cases[] = {
      {"{}", std::nullopt},
      {"null", std::nullopt},
      {R"({"a":"b"})", std::nullopt},
      {"{" + group + "}", "g"},
      {"{" + sandbox + "}", "s"},
      {"{" + sandbox + "," + group + "}", "g"},
      {"{" + group + "," + sandbox + "}", "g"},
      {"{" + group + "," + kGroupKey + ":\"last\"}", "last"},
      {std::string("{") + kGroupKey + ":\"\"," + sandbox + "}", ""},
      {std::string("{") + kGroupKey + ":null}", ""},
      {std::string("{") + kGroupKey + R"(:"\u00e4\n"})", "\xc3\xa4\n"},
  };
  for (const auto& [annotations, expected] : cases)
    EXPECT_EQ(group_in(annotations), expected) << annotations;
}

TEST_F(GroupTest, ComesFromTheAnnotationsOfTheContainerOnly) {
  std::string decoy = std::string("{\"annotations\":{") + kGroupKey + ":\"decoy\"}}";
  std::string real = std::string("\"annotations\":{") + kSandboxKey + ":\"s\"}";
  EXPECT_EQ(group("{\"process\":" + decoy + ",\"mounts\":[" + decoy + "]," + real + "}"), "s");
  EXPECT_EQ(group("{\"linux\":" + decoy + "," + real + "}"), "s");
  EXPECT_EQ(group("{\"x\":[[" + decoy + "]]}"), std::nullopt);
  EXPECT_EQ(group(std::string("{") + kGroupKey + ":\"decoy\"}"), std::nullopt);
}

TEST_F(GroupTest, IsFoundWhereverTheAnnotationsStand) {
  std::string filler = "\"filler\":\"" + std::string(100'000, 'x') + "\"";
  std::string annotations = std::string("\"annotations\":{") + kGroupKey + ":\"g\"}";
  EXPECT_EQ(group("{" + filler + "," + annotations + "}"), "g");
  EXPECT_EQ(group("{" + annotations + "," + filler + "}"), "g");
}

TEST_F(GroupTest, StopsReadingBehindTheAnnotations) {
  EXPECT_EQ(group(std::string("{\"annotations\":{") + kGroupKey + ":\"g\"}, broken"), "g");
  EXPECT_THROW(group("{\"annotations\":{\"a\":\"b\" broken"), Error) << "the error is in them";
}

TEST_F(GroupTest, RefusesAnnotationsThatAreNoStrings) {
  for (const char* annotations :
       {R"({"a":1})", R"({"a":{}})", R"({"a":["x"]})", R"({"a":true})", "[]", "\"x\"", "7"})
    EXPECT_THROW(group_in(annotations), Error) << annotations;
  EXPECT_EQ(failure([&] { group_in(R"({"a":1})"); }),
            "read " + path_ + ": annotations.a: string expected");
}

TEST_F(GroupTest, NamesTheFileThatIsMissingOrBroken) {
  std::string none = dir_ / "none.json";
  EXPECT_EQ(failure([&] { group_of(none); }), "open " + none + ": no such file or directory");
  EXPECT_EQ(failure([&] { group_of(dir_.path()); }), "read " + dir_.path() + ": is a directory");
  EXPECT_EQ(failure([&] { group("{\"a\":x}"); }),
            "read " + path_ + ": invalid JSON at byte 5: Invalid value.");
  for (std::string json :
       {"", " ", "{", "[]", "null", "1", "{\"annotations\":{\"a\":\"b", "\xff\xfe"})
    EXPECT_NE(failure([&] { group(json); }), "") << json;
  EXPECT_NE(failure([&] { group(std::string("{\0}", 3)); }), "");
}

TEST_F(GroupTest, SurvivesNestingWithoutEnd) {
  std::string deep = failure([&] { group("{\"a\":" + std::string(1'000'000, '[')); });
  EXPECT_NE(deep.find("nested too deeply"), std::string::npos) << deep;
  EXPECT_EQ(group("{\"a\":" + std::string(500, '[') + std::string(500, ']') + "}"), std::nullopt);
}

TEST_F(GroupTest, RefusesAFileLargerThanSixteenMebibytes) {
  std::string large = failure([&] { group("{\"a\":\"" + std::string(17u << 20, 'x') + "\"}"); });
  EXPECT_NE(large.find("larger than"), std::string::npos) << large;
}

using ContainerSpecTest = SpecTest;

TEST_F(ContainerSpecTest, RefusesAPathThatWouldBeCutShort) {
  for (std::string json :
       {R"({"linux":{"cgroupsPath":"/a\u0000b"}})", R"({"root":{"path":"rootfs\u0000"}})"}) {
    std::string refusal = failure([&] { container(json); });
    EXPECT_NE(refusal.find("string without NUL expected"), std::string::npos) << refusal;
  }
}

TEST_F(ContainerSpecTest, TellsAPidNamespaceOfItsOwn) {
  const std::pair<const char*, bool> cases[] = {
      {"[]", false},
      {"null", false},
      {R"([{"type":"pid"}])", true},
      {R"([{"type":"pid","path":""}])", true},
      {R"([{"path":"","type":"pid"}])", true},
      {R"([{"type":"pid","path":null}])", true},
      {R"([{"type":"pid","path":"/proc/1/ns/pid"}])", false},
      {R"([{"path":"/proc/1/ns/pid","type":"pid"}])", false},
      {R"([{"type":"network"},{"type":"ipc","path":"/x"},{"type":"pid"}])", true},
      {R"([{"type":"network","path":"/x"},{"type":"pid"},{"type":"ipc","path":"/x"}])", true},
  };
  for (const auto& [namespaces, own] : cases) {
    std::string json = std::string("{\"linux\":{\"namespaces\":") + namespaces + "}}";
    EXPECT_EQ(container(json).own_pid_namespace, own) << namespaces;
  }
  EXPECT_FALSE(container("{}").own_pid_namespace);
  EXPECT_FALSE(container(R"({"linux":null})").own_pid_namespace);
  EXPECT_FALSE(container(R"({"namespaces":[{"type":"pid"}]})").own_pid_namespace);
}

TEST_F(ContainerSpecTest, FindsTheIdsOfRoot) {
  ContainerSpec spec = container(
      R"({"linux":{"uidMappings":[{"containerID":1,"hostID":5,"size":9},
                                  {"containerID":0,"hostID":100000,"size":65536}],
                   "gidMappings":[{"hostID":4294967295,"size":1}]}})");
  EXPECT_EQ(spec.root_uid, 100000u);
  EXPECT_EQ(spec.root_gid, 4294967295u);
  spec = container(R"({"linux":{"uidMappings":[{"containerID":1,"hostID":5,"size":9}],
                                "gidMappings":[{"containerID":0,"hostID":5,"size":0}]}})");
  EXPECT_EQ(spec.root_uid, std::nullopt);
  EXPECT_EQ(spec.root_gid, std::nullopt);
}

TEST_F(ContainerSpecTest, FindsTheCgroup) {
  EXPECT_EQ(container(R"({"linux":{"resources":{"cgroupsPath":"no"},"cgroupsPath":"/a/b",
                                   "seccomp":{"syscalls":[{"names":["cgroupsPath"]}]}}})")
                .cgroups_path,
            "/a/b");
  EXPECT_EQ(container("{}").cgroups_path, "");
}

TEST_F(ContainerSpecTest, FindsTheRootWhereverItStands) {
  EXPECT_EQ(container(R"({"root":{"path":"rootfs","readonly":true},"linux":{}})").root_path,
            "rootfs");
  const ContainerSpec spec =
      container(R"({"linux":{"cgroupsPath":"/a"},"x":{"path":"no"},"root":{"path":"/r"}})");
  EXPECT_EQ(spec.root_path, "/r");
  EXPECT_EQ(spec.cgroups_path, "/a");
  EXPECT_EQ(container(R"({"root":null,"path":"no","linux":{"path":"no"}})").root_path, "");
  for (const char* root : {"7", "[]", R"({"path":7})"})
    EXPECT_THROW(container(std::string("{\"root\":") + root + "}"), Error) << root;
}

TEST_F(ContainerSpecTest, RefusesOtherTypes) {
  for (const char* linux_part :
       {R"({"cgroupsPath":7})", R"({"cgroupsPath":{}})", R"({"namespaces":{"type":"pid"}})",
        R"({"namespaces":["pid"]})", R"({"namespaces":[{"type":1}]})",
        R"({"uidMappings":[{"hostID":-1}]})", R"({"uidMappings":[{"hostID":4294967296}]})",
        R"({"uidMappings":[{"hostID":1.5}]})", R"({"gidMappings":[{"size":"1"}]})", "[]"})
    EXPECT_THROW(container(std::string("{\"linux\":") + linux_part + "}"), Error) << linux_part;
  EXPECT_THROW(container("{\"linux\":{"), Error);
  EXPECT_THROW(read_container_spec(dir_ / "none"), Error);
}

}  // namespace
}  // namespace thinshim
