// SPDX-License-Identifier: Apache-2.0
#include "shim/options.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "runtime_options.pb.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

wire::Any any(const std::string& type_url, const std::string& value) {
  wire::Any request;
  request.set_type_url(type_url);
  request.set_value(value);
  return request;
}

wire::Any any(const RuncOptions& options) {
  return any("containerd.runc.v1.Options", options.SerializeAsString());
}

// What CRI sends for runtimes that it does not know.
wire::Any generic(const std::string& config_path, const std::string& config_body) {
  runtimeoptions::v1::Options options;
  options.set_config_path(config_path);
  options.set_config_body(config_body);
  return any("runtimeoptions.v1.Options", options.SerializeAsString());
}

std::string refusal_of(const wire::Any& request) {
  try {
    resolve_options(request, Config());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    return error.what();
  }
  return "accepted";
}

TEST(Options, AreTheConfigurationsIfTheRequestHasNone) {
  Config config;
  config.task.runtime = {"crun", "/run/crun", true};
  for (const wire::Any& request :
       {wire::Any(), any("containerd.runc.v1.Options", ""), any("runtimeoptions.v1.Options", ""),
        any("type.googleapis.com/runtimeoptions.v1.Options", "")}) {
    Settings settings = resolve_options(request, config);
    EXPECT_EQ(settings.options.binary_name(), "crun") << request.type_url();
    EXPECT_EQ(settings.options.root(), "/run/crun");
    EXPECT_TRUE(settings.options.systemd_cgroup());
    EXPECT_EQ(settings.options.io_uid(), 0u);
  }
  EXPECT_EQ(resolve_options(wire::Any(), Config()).options.binary_name(), "runc");
}

TEST(Options, OfTheRequestBeatTheConfiguration) {
  Config config;
  config.task.runtime = {"crun", "/run/crun", false};
  config.task.stdio.pipe_size = 4096;
  RuncOptions sent;
  sent.set_binary_name("/opt/runc");
  sent.set_systemd_cgroup(true);
  sent.set_io_uid(1000);
  sent.set_shim_cgroup("/shims");
  for (const char* host : {"", "type.googleapis.com/", "x/y/"}) {
    wire::Any request =
        any(host + std::string("containerd.runc.v1.Options"), sent.SerializeAsString());
    Settings settings = resolve_options(request, config);
    EXPECT_EQ(settings.options.binary_name(), "/opt/runc");
    EXPECT_EQ(settings.options.root(), "/run/crun") << "not sent: the configuration's";
    EXPECT_TRUE(settings.options.systemd_cgroup());
    EXPECT_EQ(settings.options.io_uid(), 1000u);
    EXPECT_EQ(settings.options.shim_cgroup(), "/shims");
    EXPECT_EQ(settings.config.task.runtime.binary, "/opt/runc");
    EXPECT_EQ(settings.config.task.runtime.root, "/run/crun");
    EXPECT_TRUE(settings.config.task.runtime.systemd_cgroup);
    EXPECT_EQ(settings.config.task.stdio.pipe_size, 4096u);
  }
}

TEST(Options, IgnoreFieldsOfLaterVersions) {
  RuncOptions sent;
  sent.set_root("/r");
  std::string later = sent.SerializeAsString() + std::string("\xa2\x06\x03new", 6);  // 100: "new"
  EXPECT_EQ(resolve_options(any("containerd.runc.v1.Options", later), Config()).options.root(),
            "/r");
}

TEST(Options, OfAnotherTypeAreRefusedByName) {
  EXPECT_EQ(refusal_of(any("containerd.linux.runc.CreateOptions", "")),
            "options of type \"containerd.linux.runc.CreateOptions\": expected "
            "containerd.runc.v1.Options or runtimeoptions.v1.Options: invalid argument");
  EXPECT_EQ(refusal_of(any("", "x")).find("options of type \"\""), 0u);
  EXPECT_EQ(refusal_of(any("containerd.runc.v1.Options/", "")).find("options of type"), 0u);
  EXPECT_TRUE(is_runtime_options("type.googleapis.com/containerd.runc.v1.Options"));
  EXPECT_TRUE(is_runtime_options("runtimeoptions.v1.Options"));
  EXPECT_FALSE(is_runtime_options("xcontainerd.runc.v1.Options"));
  EXPECT_FALSE(is_runtime_options(""));
}

TEST(Options, ThatAreMalformedAreRefused) {
  EXPECT_EQ(refusal_of(any("containerd.runc.v1.Options", "\x1a\x7f")),
            "options: malformed \"containerd.runc.v1.Options\": invalid argument");
  EXPECT_EQ(refusal_of(any("runtimeoptions.v1.Options", "\xff")),
            "options: malformed \"runtimeoptions.v1.Options\": invalid argument");
  RuncOptions sent;
  sent.set_root(std::string("/r\0x", 4));
  EXPECT_EQ(refusal_of(any(sent)), "options: \"/r\\x00x\" contains a NUL byte: invalid argument");
}

// A relative root would be another directory for each bundle.
TEST(Options, WithARelativeRootAreRefused) {
  RuncOptions sent;
  sent.set_root("run/runc");
  const std::string text = "options: Root \"run/runc\" is not an absolute path: invalid argument";
  EXPECT_EQ(refusal_of(any(sent)), text);
  EXPECT_EQ(refusal_of(generic("", "Root = 'run/runc'")), text);
}

TEST(Options, ComeAsTheTableOfContainerdsConfiguration) {
  // As go-toml 1.9 (containerd 1.7) writes it.
  Settings settings = resolve_options(generic("", R"(
BinaryName = "/usr/bin/crun"
CriuImagePath = "/i"
CriuPath = "/criu"
CriuWorkPath = "/w"
IoGid = 7
IoUid = 4294967295
NoNewKeyring = true
NoPivotRoot = true
Root = "/run/r"
ShimCgroup = "/s"
SystemdCgroup = true
TaskApiAddress = ""
TaskApiVersion = 3
TypeUrl = "anything"
)"),
                                      Config());
  const RuncOptions& options = settings.options;
  EXPECT_EQ(options.binary_name(), "/usr/bin/crun");
  EXPECT_EQ(options.criu_image_path(), "/i");
  EXPECT_EQ(options.criu_path(), "/criu");
  EXPECT_EQ(options.criu_work_path(), "/w");
  EXPECT_EQ(options.io_gid(), 7u);
  EXPECT_EQ(options.io_uid(), 4294967295u);
  EXPECT_TRUE(options.no_new_keyring());
  EXPECT_TRUE(options.no_pivot_root());
  EXPECT_EQ(options.root(), "/run/r");
  EXPECT_EQ(options.shim_cgroup(), "/s");
  EXPECT_TRUE(options.systemd_cgroup());
  EXPECT_EQ(options.task_api_version(), 3u);
}

TEST(Options, InTomlAreReadInAnyCase) {
  RuncOptions options;
  apply_toml_options("binaryname = 'x'\nSYSTEMDCGROUP = true\nioUid = 5\n", options);
  EXPECT_EQ(options.binary_name(), "x");
  EXPECT_TRUE(options.systemd_cgroup());
  EXPECT_EQ(options.io_uid(), 5u);
}

TEST(Options, InTomlBeatTheConfigurationWithAFalseToo) {
  Config config;
  config.task.runtime = {"crun", "/run/crun", true};
  Settings settings = resolve_options(generic("", "SystemdCgroup = false\nRoot = ''\n"), config);
  EXPECT_FALSE(settings.options.systemd_cgroup());
  EXPECT_FALSE(settings.config.task.runtime.systemd_cgroup);
  EXPECT_EQ(settings.options.root(), "/run/crun") << "an empty string is ignored";
}

TEST(Options, InTomlAreRefusedWithTheirLine) {
  const struct {
    const char* text;
    const char* refusal;
  } cases[] = {
      {"\nSystemdCgroups = true", "options:2: \"SystemdCgroups\": unknown option"},
      {"binary_name = 'x'", "options:1: \"binary_name\": unknown option"},
      {"\"Root\\u0000x\" = 'x'", "options:1: \"Root\\x00x\": unknown option"},
      {"SystemdCgroup = 'true'", "options:1: \"SystemdCgroup\": expected true or false"},
      {"systemdcgroup = 1", "options:1: \"systemdcgroup\": expected true or false"},
      {"Root = 1", "options:1: \"Root\": expected a string"},
      {"IoUid = -1", "options:1: \"IoUid\": expected a number from 0 to 4294967295"},
      {"IoUid = 4294967296", "options:1: \"IoUid\": expected a number from 0 to 4294967295"},
      {"IoUid = '0'", "options:1: \"IoUid\": expected a number from 0 to 4294967295"},
  };
  for (const auto& c : cases) EXPECT_EQ(refusal_of(generic("", c.text)), c.refusal);
  EXPECT_EQ(refusal_of(generic("", "Root = \"\\u0000\"")),
            "options: \"\\x00\" contains a NUL byte: invalid argument");
}

TEST(Options, ThatAreNotTomlAreRefused) {
  EXPECT_EQ(refusal_of(generic("", "\nRoot = ")),
            "options:2: \"Root\": expected a string, true, false or a whole number");
}

// As the shim does it.
Settings resolve_with_file(const wire::Any& request, const Config& base) {
  const std::string path = config_path_of(request);
  return resolve_options(request, path.empty() ? base : load_config(path, ""));
}

TEST(Options, MayNameAConfigurationFile) {
  test::TempDir dir;
  std::string path = dir / "c.yaml";
  write_file(path,
             "version: 1\nplugins: {io.containerd.ttrpc.v1.task: "
             "{runtime: {binary: youki}, stdio: {pipe_size: 8KiB}}}\n",
             0600);
  Config base;
  base.task.runtime = {"crun", "/run/crun", true};
  Settings settings = resolve_with_file(generic(path, ""), base);
  EXPECT_EQ(settings.options.binary_name(), "youki");
  EXPECT_EQ(settings.options.root(), "/run/containerd/runc") << "in place of the other file";
  EXPECT_FALSE(settings.options.systemd_cgroup());
  EXPECT_EQ(settings.config.task.stdio.pipe_size, 8192u);

  settings = resolve_with_file(generic(path, "Root = '/r'"), base);
  EXPECT_EQ(settings.options.binary_name(), "youki");
  EXPECT_EQ(settings.options.root(), "/r");

  EXPECT_EQ(config_path_of(wire::Any()), "");
  EXPECT_THROW(resolve_with_file(generic(dir / "absent", ""), base), Error);
  EXPECT_THROW(resolve_with_file(generic("relative.yaml", ""), base), Error);
}

}  // namespace
}  // namespace thinshim
