// SPDX-License-Identifier: Apache-2.0
#include "oci/sparse_json.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace thinshim {
namespace {

TEST(SparseJson, HasNoEmptyMember) {
  const struct {
    const char* text;
    const char* sparse;
  } cases[] = {
      {"{}", "{}"},
      {R"( { "a" : null , "b" : "" , "c" : [ ] } )", "{}"},
      {R"({"a":0,"b":false,"c":{},"d":" ","e":-0.50e+2})",
       R"({"a":0,"b":false,"c":{},"d":" ","e":-0.50e+2})"},
      {R"({"a":{"b":null,"c":{"d":[]}},"e":1})", R"({"a":{"c":{}},"e":1})"},
      {R"({"a":[null,"",[],{},{"b":""}]})", R"({"a":[null,"",[],{},{}]})"},
      {R"({"a":[[[]]],"b":[{"c":[[],1]}]})", R"({"a":[[[]]],"b":[{"c":[[],1]}]})"},
      {R"({"map":{}})", "{}"},
      {R"({"map":null,"x":1})", R"({"x":1})"},
      {R"({"map":{"a":"","b":null,"c":[],"d":{}},"e":""})",
       R"({"map":{"a":"","b":null,"c":[],"d":{}}})"},
      {R"({"a":{"map":{"b":""}},"b":{}})", R"({"a":{"map":{}},"b":{}})"},
      {R"({"map":{"map":{}},"c":[]})", R"({"map":{"map":{}}})"},
  };
  for (const auto& c : cases) EXPECT_EQ(sparse_json(c.text, "it", {.maps = {"map"}}), c.sparse);
}

TEST(SparseJson, IsChangedInItsOutermostMembersOnly) {
  const SparseJson change{.without = {"out"}, .with = {{"in", "[1]"}, {"too", "true"}}};
  const struct {
    const char* text;
    const char* changed;
  } cases[] = {
      {"{}", R"({"in":[1],"too":true})"},
      {R"({"out":1})", R"({"in":[1],"too":true})"},
      {R"({"out":{"a":[{"b":null}],"c":{}},"a":1})", R"({"a":1,"in":[1],"too":true})"},
      {R"({"out":[[],{"out":""}],"out":"","a":[{"out":2}]})",
       R"({"a":[{"out":2}],"in":[1],"too":true})"},
  };
  for (const auto& c : cases) EXPECT_EQ(sparse_json(c.text, "it", change), c.changed);
}

TEST(SparseJson, IsMadeOfAnObjectOnly) {
  for (const char* text : {"[]", "[{}]", "1", "null", "\"x\"", "true"}) {
    try {
      sparse_json(text, "it", {});
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_STREQ(error.what(), "it is not a JSON object: invalid argument") << text;
    }
  }
  for (const char* text : {"", "{", "{]", R"({"a":})", R"({"a":[})", "{} x"})
    EXPECT_THROW(sparse_json(text, "it", {}), Error) << text;
}

}  // namespace
}  // namespace thinshim
