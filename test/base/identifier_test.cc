// SPDX-License-Identifier: Apache-2.0
#include "base/identifier.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/quote.h"

namespace thinshim {
namespace {

TEST(Identifier, AcceptsWhatContainerdAccepts) {
  for (const std::string name : {"a", "7", "k8s.io", "default", "a-b_c.d", "A.1", "redis-0"})
    EXPECT_TRUE(is_identifier(name)) << name;
  EXPECT_TRUE(is_identifier(std::string(76, 'x')));
}

TEST(Identifier, RefusesWhatCouldLeaveItsDirectory) {
  for (const std::string name : {"", ".", "..", "/", "a/b", "../a", "a..b", "a/../b", "-a", "a-",
                                 "_", "a.", ".a", "a__b", "a b", "a\n", "\xc3\xa4", "a:b"})
    EXPECT_FALSE(is_identifier(name)) << name;
  EXPECT_FALSE(is_identifier(std::string(77, 'x')));
  EXPECT_FALSE(is_identifier(std::string("a\0b", 3)));
}

TEST(Identifier, SaysWhoseNameIsWrong) {
  try {
    check_identifier("a/b\n", "exec id");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_STREQ(
        error.what(),
        "exec id \"a/b\\n\" must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$: invalid argument");
  }
}

TEST(Quote, KeepsAMessageOneLineOfPrintableAscii) {
  EXPECT_EQ(quoted("plain text/1"), "\"plain text/1\"");
  EXPECT_EQ(quoted(""), "\"\"");
  EXPECT_EQ(escaped("a\"b\\c\nd\te\rf"), "a\\\"b\\\\c\\nd\\te\\rf");
  EXPECT_EQ(escaped(std::string("\0\x1f\x7f\x80\xff", 5)), "\\x00\\x1f\\x7f\\x80\\xff");
}

}  // namespace
}  // namespace thinshim
