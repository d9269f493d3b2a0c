// SPDX-License-Identifier: Apache-2.0
// Reads selected values of a JSON document in one pass, without a tree in memory. A visitor gets
// each value with its path; it can skip an object or array, and stop the parser. The rest of the
// file is then not read.
//
// The parser is RapidJSON's SAX reader, instantiated for one input type only, because each type
// costs 30 kB of code. Documents are untrusted: depth and size are limited. As for Go's
// json.Decoder, a document ends with its first value, whatever follows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

enum class JsonKind { object, array, string, number, boolean, null };

struct JsonValue {
  JsonKind kind;
  // The content of a string; a number or boolean as written; else empty. Valid during the call.
  std::string_view text;
};

// The keys that lead to a value; "*" stands for an element of an array.
using JsonPath = std::vector<std::string>;

class JsonVisitor {
 public:
  enum class Step {
    go_on,  // visit the members of an object or array
    skip,   // do not visit them
    stop,   // end the parsing
  };
  // Called at the begin of an object or array; its members follow, then end().
  virtual Step value(const JsonPath& path, const JsonValue& value) = 0;
  virtual Step end(const JsonPath&) { return Step::go_on; }

 protected:
  ~JsonVisitor() = default;
};

// Throws Error{unknown, "invalid JSON at byte N: reason"}, or what the visitor throws.
void visit_json(std::string_view text, JsonVisitor& visitor);
// The same for a file of at most 16 MiB. Also throws Error "open PATH: ..." or "read PATH: ...".
void visit_json_file(const std::string& path, JsonVisitor& visitor);

// Throws Error invalid_argument "WHAT: reason" where the text is not a JSON object.
void check_json_object(std::string_view text, const std::string& what);

// For visitors: throws Error{unknown, "a.b: KIND expected"}.
[[noreturn]] void refuse_json(const JsonPath& path, const char* expected);
// The value as an integer; null is 0. Throws as refuse_json() for any other value.
std::uint32_t json_uint32(const JsonPath& path, const JsonValue& value);

}  // namespace thinshim
