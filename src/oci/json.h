// SPDX-License-Identifier: Apache-2.0
// Reads the few values that are wanted out of a JSON document, in one pass and without keeping the
// rest: a visitor sees each value with its path, skips what it does not care for and stops the
// reading as soon as it knows enough. What stands behind that point is not even read from the file.
//
// RapidJSON's SAX reader does the work (code for one kind of input only, because each kind is
// another 30 kB). Documents are untrusted: nesting is bounded, sizes are bounded. A document ends
// with its first value, whatever follows it, as for Go's json.Decoder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thinshim {

enum class JsonKind { object, array, string, number, boolean, null };

struct JsonValue {
  JsonKind kind;
  // A string's content; a number or a boolean as it is written; else empty. Valid during the call.
  std::string_view text;
};

// The keys that lead to a value; "*" stands for an element of an array.
using JsonPath = std::vector<std::string>;

class JsonVisitor {
 public:
  enum class Step {
    go_on,  // for an object or array: its members come next
    skip,   // nothing of what is inside
    stop,   // read no further
  };
  // An object or array is told when it begins; its members follow, then end().
  virtual Step value(const JsonPath& path, const JsonValue& value) = 0;
  virtual Step end(const JsonPath&) { return Step::go_on; }

 protected:
  ~JsonVisitor() = default;
};

// Throws Error{unknown, "invalid JSON at byte N: reason"}, or what the visitor throws.
void visit_json(std::string_view text, JsonVisitor& visitor);
// The same for a file of at most 16 MiB; throws Error "open PATH: ..." or "read PATH: ..." too.
void visit_json_file(const std::string& path, JsonVisitor& visitor);

// Throws Error invalid_argument, "WHAT: ..." where the text is no JSON object.
void check_json_object(std::string_view text, const std::string& what);

// For visitors: throws Error{unknown, "a.b: KIND expected"}.
[[noreturn]] void refuse_json(const JsonPath& path, const char* expected);
// The value as a number without fraction; null is 0, anything else is refused.
std::uint32_t json_uint32(const JsonPath& path, const JsonValue& value);

}  // namespace thinshim
