// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <gtest/gtest.h>
#include <runc_options.pb.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;

unsigned mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(Options, AreWrittenAsGoWritesThem) {
  RuncOptions options;
  EXPECT_EQ(options_to_json(options), "{}");
  options.set_systemd_cgroup(true);
  EXPECT_EQ(options_to_json(options), R"({"systemd_cgroup":true})");

  options.set_no_pivot_root(true);
  options.set_no_new_keyring(true);
  options.set_shim_cgroup("/c");
  options.set_io_uid(1);
  options.set_io_gid(4294967295);
  options.set_binary_name("crun");
  options.set_root("/r");
  options.set_criu_path("/criu");
  options.set_criu_image_path("/i");
  options.set_criu_work_path("/w");
  options.set_task_api_address("ttrpc+unix:///a");
  options.set_task_api_version(3);
  EXPECT_EQ(options_to_json(options),
            R"({"no_pivot_root":true,"no_new_keyring":true,"shim_cgroup":"/c","io_uid":1,)"
            R"("io_gid":4294967295,"binary_name":"crun","root":"/r","criu_path":"/criu",)"
            R"("systemd_cgroup":true,"criu_image_path":"/i","criu_work_path":"/w",)"
            R"("task_api_address":"ttrpc+unix:///a","task_api_version":3})");
}

TEST(Options, EscapeWhatGoEscapes) {
  const std::pair<std::string, std::string> cases[] = {
      {"a<b>&c", R"(a\u003cb\u003e\u0026c)"},
      {"q\"b\\s/", R"(q\"b\\s/)"},
      {"\n\r\t\x01\x1f\x7f", "\\n\\r\\t\\u0001\\u001f\x7f"},
      {std::string("\0", 1), R"(\u0000)"},
      {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xa6", "\\u2028\\u2029\xe2\x80\xa6"},
      {"\xc3\xa4", "\xc3\xa4"},
  };
  for (const auto& [root, escaped] : cases) {
    RuncOptions options;
    options.set_root(root);
    std::string json = options_to_json(options);
    EXPECT_EQ(json, "{\"root\":\"" + escaped + "\"}");
    EXPECT_EQ(options_from_json(json).root(), root);
  }
}

TEST(Options, OfOtherVersionsAreRead) {
  // 1.6 writes criu_path, 2.x task_api_*; later versions may write unknown fields.
  RuncOptions options = options_from_json(
      R"( {"binary_name":"runc","root":null,"criu_path":"/criu","systemd_cgroup":true,"io_uid":7,)"
      R"("new":{"root":"/no","list":[1,{"a":2}]},"newer":1e99} )"
      "\n");
  EXPECT_EQ(options.binary_name(), "runc");
  EXPECT_EQ(options.root(), "");
  EXPECT_EQ(options.criu_path(), "/criu");
  EXPECT_TRUE(options.systemd_cgroup());
  EXPECT_EQ(options.io_uid(), 7u);
  EXPECT_EQ(options_to_json(options_from_json("{}")), "{}");
}

TEST(Options, OfOtherTypesAreRefused) {
  for (const char* json : {"", "null", "[]", "{\"root\":1}", "{\"root\":{}}", "{\"io_uid\":-1}",
                           "{\"io_uid\":\"1\"}", "{\"io_uid\":4294967296}",
                           "{\"systemd_cgroup\":\"true\"}", "{\"root\":\"/r\"", "{\"root\":\"/r"})
    EXPECT_THROW(options_from_json(json), Error) << json;
}

TEST(Bundle, KeepsItsFilesUnderTheNamesThatOtherShimsRead) {
  TempDir dir;
  Bundle bundle(dir.path());
  EXPECT_EQ(bundle.config(), dir / "config.json");
  EXPECT_EQ(bundle.rootfs(), dir / "rootfs");
  EXPECT_EQ(bundle.runtime_log(), dir / "log.json");
  EXPECT_EQ(bundle.init_pid(), dir / "init.pid");
  EXPECT_EQ(bundle.exec_pid("e1"), dir / "e1.pid");

  RuncOptions options;
  options.set_binary_name("/usr/bin/runc");
  bundle.write_options(options);
  bundle.write_runtime("/usr/bin/runc");
  bundle.write_address("unix:///run/containerd/s/0123");
  bundle.write_socket_dir("/run/s");
  EXPECT_EQ(read_file(dir / "options.json"), "{\"binary_name\":\"/usr/bin/runc\"}");
  EXPECT_EQ(read_file(dir / "runtime"), "/usr/bin/runc");
  EXPECT_EQ(read_file(dir / "address"), "unix:///run/containerd/s/0123");
  EXPECT_EQ(mode_of(dir / "options.json"), 0600u);
  EXPECT_EQ(mode_of(dir / "runtime"), 0600u);
  EXPECT_EQ(mode_of(dir / "address"), 0600u);
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "s"));
}

TEST(Bundle, ReadsBackWhatItWrote) {
  TempDir dir;
  Bundle bundle(dir.path());
  RuncOptions options;
  for (std::string text : {"first, and longer", "second"}) {
    options.set_root(text);
    bundle.write_options(options);
    bundle.write_runtime(text);
    bundle.write_address(text);
    bundle.write_socket_dir(text);
    EXPECT_EQ(bundle.read_options()->root(), text);
    EXPECT_EQ(bundle.read_runtime(), text);
    EXPECT_EQ(bundle.read_address(), text);
    EXPECT_EQ(std::filesystem::read_symlink(dir / "s"), text);
  }
  bundle.write_runtime("");
  EXPECT_EQ(bundle.read_runtime(), "");
}

TEST(Bundle, WithoutFilesIsAnOutcome) {
  TempDir dir;
  for (const std::string& path : {dir.path(), dir / "none"}) {
    Bundle bundle(path);
    EXPECT_FALSE(bundle.read_options());
    EXPECT_FALSE(bundle.read_runtime());
    EXPECT_FALSE(bundle.read_address());
  }
  write_file(dir / "address", "", 0600);
  EXPECT_FALSE(Bundle(dir.path()).read_address());
}

TEST(Bundle, NamesTheFileThatIsBroken) {
  TempDir dir;
  write_file(dir / "options.json", "{\"root\":", 0600);
  try {
    Bundle(dir.path()).read_options();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find("read " + (dir / "options.json") + ": invalid JSON"),
              0u)
        << error.what();
  }
}

}  // namespace
}  // namespace thinshim
