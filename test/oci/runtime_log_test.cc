// SPDX-License-Identifier: Apache-2.0
#include "oci/runtime_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

using test::TempDir;
using Found = std::optional<std::string>;

class RuntimeLogTest : public testing::Test {
 protected:
  Found last_error(const std::string& log) {
    write_file(path_, log, 0600);
    return last_runtime_error(path_);
  }
  static std::string failure(const std::string& path) {
    try {
      last_runtime_error(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  TempDir dir_;
  const std::string path_ = dir_ / "log.json";
};

std::string error_line(const std::string& message) {
  return R"({"level":"error","msg":")" + message + R"(","time":"2026-11-21T00:00:00Z"})" + "\n";
}
const std::string kInfoLine = R"({"level":"info","msg":"fine","time":"2026-11-21T00:00:00Z"})"
                              "\n";

TEST_F(RuntimeLogTest, GivesTheLastErrorOfRuncCrunAndYouki) {
  const std::pair<std::string, Found> cases[] = {
      {"", std::nullopt},
      {kInfoLine, std::nullopt},
      {error_line("one"), "one"},
      {error_line("one") + error_line("two") + kInfoLine, "two"},
      {error_line(R"( exec: \"x\": not\nfound\n )"), "exec: \"x\": not\nfound"},
      {error_line("one") + error_line("  "), "one"},
      {R"({"msg":"crun's","level":"error","time":"2026-11-21T00:00:00.000000Z"})", "crun's"},
      {R"({"timestamp":"2026","level":"ERROR","message":"youki's","target":"x"})", "youki's"},
      {R"({"level":"fatal","msg":"the end"})", "the end"},
      {R"({"level":"error","error":{"msg":"inner"},"msg":"outer"})", "outer"},
      {"{\n  \"msg\": \"on lines\",\n  \"level\": \"error\"\n}\n", "on lines"},
      {error_line("one") + "{\n  \"msg\": \"two\",\n  \"level\": \"error\"\n}\n" + kInfoLine,
       "two"},
      {"{\n  \"msg\": \"one\",\n  \"level\": \"error\"\n}\n{\n  \"msg\": \"two\",\n", "one"},
  };
  for (const auto& [log, expected] : cases) EXPECT_EQ(last_error(log), expected) << log;
}

TEST_F(RuntimeLogTest, PassesOverWhatIsNoEntry) {
  for (std::string garbage :
       {std::string("plain text\n"), std::string("\n\n\n"), std::string("[1,2]\n"),
        std::string("\"error\"\n"), std::string("{\"level\":\"error\",\"msg\":\"ha"),
        std::string("{\"level\":\"error\"}\n"), std::string("{\"level\":1,\"msg\":\"x\"}\n"),
        std::string("\0\0\0\n", 4), std::string("{\"level\":\"error\",\"msg\":{\"a\":1}}"),
        std::string(5000, '['), std::string("\xff\xfe{")}) {
    EXPECT_EQ(last_error(garbage), std::nullopt) << garbage;
    EXPECT_EQ(last_error(error_line("real") + garbage), "real") << garbage;
  }
}

TEST_F(RuntimeLogTest, ThatCannotBeReadIsAnError) {
  EXPECT_EQ(failure(path_), "open " + path_ + ": no such file or directory");
  EXPECT_EQ(failure(dir_.path()), "open " + dir_.path() + ": not a regular file");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(failure(path_), "open " + path_ + ": not a regular file");
}

TEST_F(RuntimeLogTest, ReadsTheEndOfAHugeFile) {
  write_file(path_, error_line("buried"), 0600);
  ASSERT_EQ(truncate(path_.c_str(), 100'000'000), 0);
  EXPECT_EQ(last_runtime_error(path_), std::nullopt);
  std::string end = error_line("\n") + error_line("last") + kInfoLine;
  FILE* file = fopen(path_.c_str(), "a");
  ASSERT_NE(file, nullptr);
  ASSERT_EQ(fwrite(end.data(), 1, end.size(), file), end.size());
  ASSERT_EQ(fclose(file), 0);
  EXPECT_EQ(last_runtime_error(path_), "last");
}

}  // namespace
}  // namespace thinshim
