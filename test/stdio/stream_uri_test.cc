// SPDX-License-Identifier: Apache-2.0
#include "stdio/stream_uri.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace thinshim {
namespace {

using Query = std::vector<std::pair<std::string, std::string>>;

struct Reading {
  const char* text;
  const char* scheme;
  const char* path;
  Query query;
};

TEST(StreamUri, IsDecodedAsGoEncodesIt) {
  const Reading readings[] = {
      {"/run/c1/out", "fifo", "/run/c1/out", {}},
      {"/run/a%20b?c#d", "fifo", "/run/a%20b?c#d", {}},
      {"/run/x://y", "fifo", "/run/x://y", {}},
      {"fifo:///run/out", "fifo", "/run/out", {}},
      {"tape://anything?%", "tape", "anything?%", {}},
      {"://x", "", "x", {}},
      {"file:///var/log/c1.log", "file", "/var/log/c1.log", {}},
      {"file:///var/a%20b+c%2fd?x=y#z", "file", "/var/a b+c/d", {{"x", "y"}}},
      {"binary:///bin/logger", "binary", "/bin/logger", {}},
      {"binary:///bin/logger?", "binary", "/bin/logger", {}},
      {"binary:///bin/l?id=c1&-v=&flag&=x&&a=b=c",
       "binary",
       "/bin/l",
       {{"id", "c1"}, {"-v", ""}, {"flag", ""}, {"", "x"}, {"a", "b=c"}}},
      {"binary-v2:///bin/sh?-c=cat+%3c%263;+echo&k%3D=%25+%2B",
       "binary-v2",
       "/bin/sh",
       {{"-c", "cat <&3; echo"}, {"k=", "% +"}}},
      {"binary:///bin/l?a=1&a=2", "binary", "/bin/l", {{"a", "1"}, {"a", "2"}}},
      {"binary:///bin/l?a=\xc3\xa4%C3%A4", "binary", "/bin/l", {{"a", "\xc3\xa4\xc3\xa4"}}},
  };
  for (const Reading& reading : readings) {
    SCOPED_TRACE(reading.text);
    const StreamUri uri = parse_stream_uri(reading.text);
    EXPECT_EQ(uri.scheme, reading.scheme);
    EXPECT_EQ(uri.path, reading.path);
    EXPECT_EQ(uri.query, reading.query);
  }
}

TEST(StreamUri, IsRefusedIfItIsAMistake) {
  const std::pair<const char*, const char*> refusals[] = {
      {"binary://logger", "path is not absolute"},
      {"binary://host/bin/logger", "path is not absolute"},
      {"binary-v2://", "path is not absolute"},
      {"binary://?a=b", "path is not absolute"},
      {"file://log", "path is not absolute"},
      {"file://#/x", "path is not absolute"},
      {"binary:///bin/%", "invalid %-encoding"},
      {"binary:///bin/%2", "invalid %-encoding"},
      {"binary:///bin/%zz", "invalid %-encoding"},
      {"binary:///bin/%-1", "invalid %-encoding"},
      {"binary:///bin/x?a=%00", "invalid %-encoding"},
      {"binary:///bin/x%00?a", "invalid %-encoding"},
      {"binary:///bin/x?%1=a", "invalid %-encoding"},
      {"file:///log%", "invalid %-encoding"},
  };
  for (const auto& [text, reason] : refusals) {
    SCOPED_TRACE(text);
    try {
      parse_stream_uri(text);
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_EQ(error.what(),
                "STDIO URI \"" + std::string(text) + "\": " + reason + ": invalid argument");
    }
  }
  EXPECT_THROW(parse_stream_uri(std::string("binary:///bin/x\0y", 17)), Error);
}

}  // namespace
}  // namespace thinshim
