// SPDX-License-Identifier: Apache-2.0
#include "shim/config_file.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/proc.h"
#include "support/hung_file_system.h"
#include "support/own_mounts.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
using test::HungFileSystem;
using test::TempDir;

class ConfigFile : public testing::Test {
 protected:
  std::string refusal_of(const std::string& path, Event* stop = nullptr, Duration limit = 10s) {
    try {
      loop_.run(load_config_in_fork(reaper_, path, stop, limit));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  static std::string direct_refusal_of(const std::string& path) {
    try {
      load_config(path, "");
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }

  TempDir dir_;
  Loop loop_;
  Reaper reaper_{loop_};
};

TEST_F(ConfigFile, IsReadAsAnyOther) {
  const std::string path = dir_ / "c.yaml";
  write_file(path, "version: 1\nlog: {level: debug}\n", 0600);
  EXPECT_EQ(loop_.run(load_config_in_fork(reaper_, path, nullptr)), load_config(path, ""));
  write_file(path, "version: 1\n" + std::string(500'000, '#') + "\nlog: {level: debug}\n", 0600);
  EXPECT_EQ(loop_.run(load_config_in_fork(reaper_, path, nullptr)).log_level, log::Level::debug);
}

TEST_F(ConfigFile, FailsWithTheSameErrors) {
  const std::string path = dir_ / "c.yaml", large = dir_ / "large.yaml";
  write_file(path, "version: 1\nx: y\n", 0600);
  write_file(large, std::string(kMaxConfigSize + 1, '#'), 0600);
  for (const std::string& name :
       {path, large, dir_ / "absent", dir_.path(), std::string("c.yaml")}) {
    EXPECT_NE(direct_refusal_of(name), "accepted");
    EXPECT_EQ(refusal_of(name), direct_refusal_of(name));
  }
}

class HungConfigFile : public ConfigFile {
 protected:
  static void SetUpTestSuite() { test::have_own_mounts(); }
  void TearDown() override {
    hung_.end();
    for (int i = 0; i < 2000 && !own_children().empty(); ++i) loop_.run(pass(5ms));
    EXPECT_EQ(own_children(), std::vector<pid_t>());
  }
  Task<> pass(Duration time) { co_await sleep(loop_, time); }
  HungFileSystem hung_{dir_ / "hung"};
};

TEST_F(HungConfigFile, TimesOut) {
  EXPECT_EQ(refusal_of(hung_.file(), nullptr, 100ms),
            "config file \"" + hung_.file() + "\": timed out after 100ms");
}

TEST_F(HungConfigFile, IsCancelledWithItsCreate) {
  Event stop;
  stop.set();
  const std::uint64_t began = loop_.now();
  EXPECT_NE(refusal_of(hung_.file(), &stop), "accepted");
  EXPECT_LT(loop_.now() - began, 9000u);
}

}  // namespace
}  // namespace thinshim
