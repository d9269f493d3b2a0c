// SPDX-License-Identifier: Apache-2.0
#include "process/lookup.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/proc.h"
#include "support/hung_file_system.h"
#include "support/own_mounts.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

class Lookup : public testing::Test {
 protected:
  static void SetUpTestSuite() { test::have_own_mounts(); }
  std::string failure_of(const std::string& path, Event* stop = nullptr) {
    try {
      loop_.run(look_up(reaper_, path, stop, 200ms));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  Task<> pass(Duration time) { co_await sleep(loop_, time); }

  Loop loop_;
  Reaper reaper_{loop_};
  test::TempDir dir_;
};

TEST_F(Lookup, FindsNothingWrongWithPathsThatAnswer) {
  const std::string paths[] = {dir_.path(), dir_ / "missing", "/dev/null", ""};
  for (const std::string& path : paths) EXPECT_EQ(failure_of(path), "none") << path;
}

TEST_F(Lookup, OfAHungFileSystemTimesOut) {
  test::HungFileSystem hung(dir_ / "hung");
  const std::string path = dir_ / "hung/other";
  EXPECT_EQ(failure_of(path), "open " + path + ": timed out after 200ms");
  Event stop;
  stop.set();
  EXPECT_NE(failure_of(dir_ / "hung/another", &stop), "none");
  // Not by way of a directory in memory.
  const std::string way = "/dev/.." + path;
  EXPECT_EQ(failure_of(way), "open " + way + ": timed out after 200ms");
  hung.end();
  for (int i = 0; i < 2000 && !own_children().empty(); ++i) loop_.run(pass(5ms));
  EXPECT_EQ(own_children(), std::vector<pid_t>());
}

}  // namespace
}  // namespace thinshim
