// SPDX-License-Identifier: Apache-2.0
#include "shim/toml.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace thinshim {
namespace {

using Value = std::variant<std::string, bool, std::int64_t>;

Value value_of(const std::string& text) { return parse_toml("a = " + text, "t").at(0).value; }

std::string toml_refusal(const std::string& text) {
  try {
    parse_toml(text, "t");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "accepted";
}

TEST(Toml, ReadsLinesOfKeysAndValues) {
  auto entries = parse_toml(
      "# a table\n"
      "\n"
      "Name = \"x\"  # why\r\n"
      "  on=true\n"
      "\t'quoted key' = -1\n"
      "\"k\\u00e4\" = false#",
      "t");
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "Name");
  EXPECT_EQ(entries[0].value, Value(std::string("x")));
  EXPECT_EQ(entries[0].line, 3);
  EXPECT_EQ(entries[1].key, "on");
  EXPECT_EQ(entries[1].value, Value(true));
  EXPECT_EQ(entries[2].key, "quoted key");
  EXPECT_EQ(entries[2].value, Value(std::int64_t{-1}));
  EXPECT_EQ(entries[3].key, "k\xc3\xa4");
  EXPECT_EQ(entries[3].line, 6);
  EXPECT_TRUE(parse_toml("", "t").empty());
  EXPECT_TRUE(parse_toml("\n \n#\n", "t").empty());
}

TEST(Toml, ReadsStrings) {
  const struct {
    const char* text;
    const char* value;
  } cases[] = {
      {"\"\"", ""},
      {"''", ""},
      {"'a \"b\" \\n # c'", "a \"b\" \\n # c"},
      {"\"a 'b' # = c\"", "a 'b' # = c"},
      {R"("\b\t\n\f\r\"\\")", "\b\t\n\f\r\"\\"},
      {R"("\u0041\u00e4\u20ac\U0001f600\u00E4")", "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa4"},
      {"\"\xe2\x82\xac\"", "\xe2\x82\xac"},
  };
  for (const auto& c : cases) EXPECT_EQ(value_of(c.text), Value(std::string(c.value))) << c.text;
  EXPECT_EQ(value_of(R"("a\u0000b")"), Value(std::string("a\0b", 3)));
}

TEST(Toml, ReadsNumbers) {
  const struct {
    const char* text;
    std::int64_t value;
  } cases[] = {{"0", 0},
               {"+7", 7},
               {"-7", -7},
               {"1_000_000", 1000000},
               {"-0", 0},
               {"42 #", 42},
               {"9223372036854775807", INT64_MAX},
               {"-9223372036854775808", INT64_MIN}};
  for (const auto& c : cases) EXPECT_EQ(value_of(c.text), Value(c.value)) << c.text;
}

TEST(Toml, RefusesOtherValues) {
  for (const char* text :
       {"",    "#",  "True",       "yes", "1.5", "1e3", "0x10", "01",  "-01",
        "+",   "-",  "+-1",        "--1", "1_",  "_1",  "1__0", "1_a", "9223372036854775808",
        "[1]", "{}", "1979-05-27", "inf", "x"}) {
    EXPECT_EQ(toml_refusal("a = " + std::string(text)),
              "t:1: \"a\": expected a string, true, false or a whole number")
        << text;
  }
}

TEST(Toml, RefusesWithTheLine) {
  const struct {
    const char* text;
    const char* refusal;
  } cases[] = {
      {"\na", "t:2: \"a\": expected \"=\" after the key"},
      {"a 1", "t:1: \"a\": expected \"=\" after the key"},
      {"a.b = 1", "t:1: \"a\": expected \"=\" after the key"},
      {"= 1", "t:1: expected a key, found \"= 1\""},
      {"[a]", "t:1: expected a key, found \"[a]\""},
      {"\xc3\xa4 = 1", "t:1: expected a key, found \"\\xc3\\xa4 = 1\""},
      {"a = 1\nb = 2\na = 3", "t:3: \"a\": duplicate key"},
      {"a = 1 2", "t:1: \"a\": unexpected text after the value"},
      {"a = 'b' 'c'", "t:1: \"a\": unexpected text after the value"},
      {"a = \"\"\"b\"\"\"", "t:1: \"a\": unexpected text after the value"},
      {"a = '''b'''", "t:1: \"a\": unexpected text after the value"},
      {"a = \"b", "t:1: unterminated string"},
      {"a = 'b\nc'", "t:1: unterminated string"},
      {"a = \"b\\", "t:1: unterminated string"},
      {"a = \"b\\\"", "t:1: unterminated string"},
      {"'a = 1", "t:1: unterminated string"},
      {"a = \"\\x41\"", "t:1: invalid escape in a string"},
      {"a = \"\\u00e\"", "t:1: invalid escape in a string"},
      {"a = \"\\u00", "t:1: invalid escape in a string"},
      {"a = \"\\ud800\"", "t:1: invalid escape in a string"},
      {"a = \"\\U00110000\"", "t:1: invalid escape in a string"},
      {"a = \"\\u-001\"", "t:1: invalid escape in a string"},
      {"[\x01", "t:1: control character"},
      {"a = 'b\x7f'", "t:1: control character"},
      {"a = 1 # \x02", "t:1: control character"},
      {"a = 1\rb = 2", "t:1: control character"},
      {"\na = '\xff'", "t:2: not UTF-8"},
      {"a = '\xc3'", "t:1: not UTF-8"},
  };
  for (const auto& c : cases) EXPECT_EQ(toml_refusal(c.text), c.refusal) << c.text;
  EXPECT_EQ(toml_refusal(std::string("a = 'b\0'", 9)), "t:1: control character");
}

}  // namespace
}  // namespace thinshim
