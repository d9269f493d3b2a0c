// SPDX-License-Identifier: Apache-2.0
#include "oci/process_json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <string_view>

#include "base/error.h"

namespace thinshim {
namespace {

using Size = rapidjson::SizeType;

// Passes everything on to a writer, numbers to the letter, but for the outermost object's member
// "terminal".
class Rewriter {
 public:
  Rewriter(rapidjson::StringBuffer& out, bool terminal) : writer_(out), terminal_(terminal) {}

  bool Null() {
    return value([&] { return writer_.Null(); });
  }
  bool Bool(bool is) {
    return value([&] { return writer_.Bool(is); });
  }
  bool Int(int number) {
    return value([&] { return writer_.Int(number); });
  }
  bool Uint(unsigned number) {
    return value([&] { return writer_.Uint(number); });
  }
  bool Int64(std::int64_t number) {
    return value([&] { return writer_.Int64(number); });
  }
  bool Uint64(std::uint64_t number) {
    return value([&] { return writer_.Uint64(number); });
  }
  bool Double(double number) {
    return value([&] { return writer_.Double(number); });
  }
  bool RawNumber(const char* text, Size size, bool) {
    return value([&] { return writer_.RawValue(text, size, rapidjson::kNumberType); });
  }
  bool String(const char* text, Size size, bool) {
    return value([&] { return writer_.String(text, size); });
  }

  bool Key(const char* name, Size size, bool) {
    if (depth_ == 1) skipping_ = std::string_view(name, size) == "terminal";
    return skipping_ || writer_.Key(name, size);
  }
  bool StartObject() {
    ++depth_;
    return skipping_ || writer_.StartObject();
  }
  bool EndObject(Size) {
    if (--depth_ == 0) {
      writer_.Key("terminal");
      writer_.Bool(terminal_);
      return writer_.EndObject();
    }
    return end([&] { return writer_.EndObject(); });
  }
  bool StartArray() {
    if (depth_ == 0) return false;
    ++depth_;
    return skipping_ || writer_.StartArray();
  }
  bool EndArray(Size) {
    --depth_;
    return end([&] { return writer_.EndArray(); });
  }

 private:
  template <class Write>
  bool value(Write write) {
    if (depth_ == 0) return false;  // the outermost value must be an object
    return end(write);
  }
  // The end of a value: of the skipped one, when it is a member of the outermost object.
  template <class Write>
  bool end(Write write) {
    if (!skipping_) return write();
    if (depth_ == 1) skipping_ = false;
    return true;
  }

  rapidjson::Writer<rapidjson::StringBuffer> writer_;
  bool terminal_;
  int depth_ = 0;
  bool skipping_ = false;
};

}  // namespace

std::string with_terminal(const std::string& process, bool terminal) {
  rapidjson::StringBuffer buffer;
  Rewriter rewriter(buffer, terminal);
  rapidjson::MemoryStream stream(process.data(), process.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::ParseResult result = reader.Parse<kFlags>(stream, rewriter);
  if (result.Code() == rapidjson::kParseErrorTermination)
    throw Error::invalid_argument("the process of an exec is no JSON object");
  if (result.IsError())
    throw Error::invalid_argument("the process of an exec is no JSON: " +
                                  std::string(rapidjson::GetParseError_En(result.Code())));
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace thinshim
