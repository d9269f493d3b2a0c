// SPDX-License-Identifier: Apache-2.0
#include "oci/exit_json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "oci/bundle.h"
#include "support/temp_dir.h"

namespace thinshim {
namespace {

// The output of Go 1.26 (json.Marshal of go-runc's Exit, with a time in UTC).
TEST(ExitJson, IsWrittenAsGoWritesIt) {
  const struct {
    Exit exit;
    const char* json;
  } table[] = {
      {{4711, 7, {1796057169, 123456789}},
       R"({"Timestamp":"2026-11-30T16:46:09.123456789Z","Pid":4711,"Status":7})"},
      {{1, 0, {1796057169, 0}}, R"({"Timestamp":"2026-11-30T16:46:09Z","Pid":1,"Status":0})"},
      {{1, 137, {1796057169, 500000000}},
       R"({"Timestamp":"2026-11-30T16:46:09.5Z","Pid":1,"Status":137})"},
      {{1, 137, {0, 1}}, R"({"Timestamp":"1970-01-01T00:00:00.000000001Z","Pid":1,"Status":137})"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(exit_to_json(row.exit), row.json);
    const Exit exit = exit_from_json(row.json);
    EXPECT_EQ(exit.pid, row.exit.pid);
    EXPECT_EQ(exit.status, row.exit.status);
    EXPECT_EQ(exit.at.tv_sec, row.exit.at.tv_sec);
    EXPECT_EQ(exit.at.tv_nsec, row.exit.at.tv_nsec);
  }
}

TEST(ExitJson, MayHaveAnotherTimeZoneAndUnknownFields) {
  for (const char* json :
       {R"({"Timestamp":"2026-11-30T17:46:09.25+01:00","Pid":5,"Status":3})",
        R"({"Timestamp":"2026-11-30T11:16:09.25-05:30","Pid":5,"Status":3,"Oom":true})",
        R"({"status":3,"pid":5,"timestamp":"2026-12-01T00:46:09.25+08:00"} )"}) {
    const Exit exit = exit_from_json(json);
    EXPECT_EQ(exit.at.tv_sec, 1796057169) << json;
    EXPECT_EQ(exit.at.tv_nsec, 250000000) << json;
    EXPECT_EQ(exit.pid, 5) << json;
    EXPECT_EQ(exit.status, 3) << json;
  }
}

TEST(ExitJson, WithoutAValidExitIsRefused) {
  const std::string good = R"("Timestamp":"2026-11-30T16:46:09Z")";
  for (const std::string& json :
       {std::string(), std::string("{}"), std::string("{oops:...}"), std::string("[1]"),
        "{" + good + "}", "{" + good + R"(,"Pid":0,"Status":1})",
        "{" + good + R"(,"Pid":-1,"Status":1})", "{" + good + R"(,"Pid":1,"Status":-1})",
        "{" + good + R"(,"Pid":1.5,"Status":1})", "{" + good + R"(,"Pid":4294967295,"Status":1})",
        "{" + good + R"(,"Pid":1,"Status":"1"})", std::string(R"({"Pid":1,"Status":1})"),
        std::string(R"({"Timestamp":"0001-01-01T00:00:00Z","Pid":1,"Status":1})")})
    EXPECT_THROW(exit_from_json(json), Error) << json;
  for (const char* time :
       {"", "now", "2026-11-30", "2026-11-30T16:46:09", "2026-11-30 16:46:09Z",
        "2026-11-30T16:46:09.Z", "2026-11-30T16:46:09.1234567891Z", "2026-13-30T16:46:09Z",
        "2026-02-30T16:46:09Z", "2026-11-30T25:46:09Z", "2026-11-30T16:46:09Z ",
        "2026-11-30T16:46:09+1:00", "-026-11-30T16:46:09Z", "2026-11-30T16:46:09+01:00Z"})
    EXPECT_THROW(exit_from_json(R"({"Pid":1,"Status":1,"Timestamp":")" + std::string(time) + "\"}"),
                 Error)
        << time;
}

TEST(BundleTest, KeepsTheExitOfTheProcessThatItsPidFileNames) {
  const test::TempDir directory;
  const Bundle bundle(directory.path());
  EXPECT_EQ(bundle.read_exit().has_value(), false);
  bundle.write_exit({12, 7, {1796057169, 1}});
  EXPECT_EQ(bundle.read_exit().has_value(), false) << "no init.pid";
  write_file(bundle.init_pid(), "12", 0600);
  EXPECT_EQ(bundle.read_exit()->status, 7);
  write_file(bundle.init_pid(), "13", 0600);
  EXPECT_EQ(bundle.read_exit().has_value(), false) << "of an earlier container";
  write_file(directory / "exit.json", "nonsense", 0600);
  EXPECT_THROW(bundle.read_exit(), Error);
  EXPECT_THROW(Bundle(directory / "none").write_exit({12, 7, {1, 1}}), Error);
}

}  // namespace
}  // namespace thinshim
