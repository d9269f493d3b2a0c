// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/status.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "ttrpc.pb.h"

namespace thinshim {
namespace {

TEST(Status, CarriesCodeAndTextOfAnError) {
  wire::Status status = to_status(Error::not_found("container a"));
  EXPECT_EQ(status.code(), 5);
  EXPECT_EQ(status.message(), "container a: not found");
  Error back = to_error(status);
  EXPECT_EQ(back.code(), Code::not_found);
  EXPECT_STREQ(back.what(), "container a: not found");
}

TEST(Status, IsWhatGoogleRpcStatusIsOnTheWire) {
  EXPECT_EQ(to_status(Error(Code::internal, "abc")).SerializeAsString(),
            "\x08\x0d\x12\x03"
            "abc");
}

TEST(Status, KeepsCodesWithoutAName) {
  wire::Status status;
  status.set_code(16);
  EXPECT_EQ(to_status(to_error(status)).code(), 16);
}

TEST(Status, NeverMakesAFailureLookLikeSuccess) {
  EXPECT_EQ(to_status(Error(Code::ok, "odd")).code(), 2);
}

template <class Exception>
std::exception_ptr thrown(Exception exception) {
  return std::make_exception_ptr(exception);
}

TEST(Status, ReadsAnyException) {
  struct {
    std::exception_ptr exception;
    int code;
    std::string text;
  } const kTable[] = {
      {thrown(Error::unavailable("x")), 14, "x: unavailable"},
      {thrown(std::runtime_error("broken")), 2, "broken"},
      {thrown(std::bad_alloc()), 2, "std::bad_alloc"},
      {thrown(42), 2, "unknown failure"},
  };
  for (const auto& row : kTable) {
    wire::Status status = to_status(row.exception);
    EXPECT_EQ(status.code(), row.code);
    EXPECT_EQ(status.message(), row.text);
  }
}

TEST(Status, ReplacesWhatIsNotUtf8) {
  const std::string kBad = "\xef\xbf\xbd";
  struct {
    std::string in, out;
  } const kTable[] = {
      {"", ""},
      {"plain", "plain"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"\xe2\x82\xac \xf0\x9f\x90\xb3", "\xe2\x82\xac \xf0\x9f\x90\xb3"},
      {"a\xff"
       "b",
       "a" + kBad + "b"},
      {"cut \xe2\x82", "cut " + kBad + kBad},
      {"\xc0\xaf", kBad + kBad},                        // overlong
      {"\xe0\x80\x80", kBad + kBad + kBad},             // overlong
      {"\xed\xa0\x80", kBad + kBad + kBad},             // a surrogate
      {"\xf4\x90\x80\x80", kBad + kBad + kBad + kBad},  // beyond U+10FFFF
      {"\xf0\x80\x80\x80", kBad + kBad + kBad + kBad},  // overlong
      {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},         // U+10FFFF
  };
  for (const auto& row : kTable)
    EXPECT_EQ(to_status(Error(Code::unknown, row.in)).message(), row.out);
}

TEST(ParseMessage, RefusesBytesThatAreNoSuchMessage) {
  try {
    parse_message<::ttrpc::KeyValue>("\xff\xff");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::internal);
    EXPECT_EQ(std::string(error.what()).rfind("ttrpc: error unmarshalling payload: ", 0), 0u);
  }
}

}  // namespace
}  // namespace thinshim
