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

TEST(Identifier, RefusalNamesTheKindOfIdentifier) {
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

TEST(Quote, KnowsUtf8) {
  for (const char* text :
       {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"})
    EXPECT_TRUE(is_utf8(text)) << quoted(text);
  for (const char* text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3z", "\xe0\x9f\xbf",
                           "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
                           "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "a\xf0\x90\x80"})
    EXPECT_FALSE(is_utf8(text)) << quoted(text);
}

TEST(Quote, TruncatesButNeverInsideAnEscape) {
  struct {
    const char* text;
    std::size_t most;
    const char* escaped;
  } table[] = {
      {"abcdef", 6, "abcdef"},   {"abcdef", 5, "ab..."}, {"abcdef", 3, "..."},
      {"abcdef", 2, ".."},       {"abcdef", 0, ""},      {"", 0, ""},
      {"a\n\nb", 6, "a\\n\\nb"}, {"a\n\nb", 5, "a..."},  {"\x01\x02", 7, "\\x01..."},
      {"\x01\x02", 6, "..."},    {"a\n", 3, "a\\n"},
  };
  for (const auto& row : table) EXPECT_EQ(escaped(row.text, row.most), row.escaped) << row.most;
}

}  // namespace
}  // namespace thinshim
