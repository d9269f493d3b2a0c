// SPDX-License-Identifier: Apache-2.0
#include "oci/sparse_json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace thinshim {
namespace {

using Size = rapidjson::SizeType;

// Copies events of the reader to a writer. Holds back the name of a member, and the begin of an
// array or map, until its content is known.
class Rewriter {
 public:
  Rewriter(rapidjson::StringBuffer& out, const SparseJson& change)
      : writer_(out), change_(change) {}

  bool Null() {
    return maybe(false, [&] { return writer_.Null(); });
  }
  bool String(const char* text, Size size, bool) {
    return maybe(size > 0, [&] { return writer_.String(text, size); });
  }
  bool Bool(bool is) {
    return maybe(true, [&] { return writer_.Bool(is); });
  }
  bool RawNumber(const char* text, Size size, bool) {
    return maybe(true, [&] { return writer_.RawValue(text, size, rapidjson::kNumberType); });
  }
  // unused: RawNumber() gets all numbers
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }

  bool Key(const char* text, Size size, bool) {
    if (skipping()) return true;
    write_held();
    const std::string_view name(text, size);
    if (depth_ == 1 && contains(change_.without, name)) {
      skipped_at_ = depth_;
      return true;
    }
    in_map_ = depth_ == 1 ? contains(change_.maps, name) : in_map_;
    key_ = name;
    return true;
  }
  bool StartObject() {
    ++depth_;
    if (skipping()) return true;
    if (depth_ == 2 && in_map_) {
      held_ = Held::object;
      return true;
    }
    write_held();
    return writer_.StartObject();
  }
  bool StartArray() {
    if (depth_ == 0) return false;
    ++depth_;
    if (skipping()) return true;
    if (is_member() && !keeps_all()) {
      held_ = Held::array;
      return true;
    }
    write_held();
    return writer_.StartArray();
  }
  bool EndObject(Size) {
    if (depth_ == 1)
      for (const auto& [name, value] : change_.with) {
        writer_.Key(name.data(), static_cast<Size>(name.size()));
        writer_.RawValue(value.data(), value.size(), rapidjson::kNullType);
      }
    return end([&] { return writer_.EndObject(); });
  }
  bool EndArray(Size) {
    return end([&] { return writer_.EndArray(); });
  }

 private:
  enum class Held { nothing, object, array };

  static bool contains(const std::vector<std::string_view>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  }
  bool skipping() const { return skipped_at_ != 0; }
  // Whether the next value is a member of an object, not an element of an array.
  bool is_member() const { return key_ && held_ == Held::nothing; }
  bool keeps_all() const { return in_map_ && depth_ > 1; }

  void write_held() {
    if (key_) writer_.Key(key_->data(), static_cast<Size>(key_->size()));
    if (held_ == Held::object) writer_.StartObject();
    if (held_ == Held::array) writer_.StartArray();
    drop_held();
  }
  void drop_held() {
    key_.reset();
    held_ = Held::nothing;
  }

  template <class Write>
  bool maybe(bool is_kept, Write write) {
    if (depth_ == 0) return false;  // the outermost value must be an object
    if (skipping()) return end_skipped();
    if (is_member() && !is_kept && !keeps_all()) {
      drop_held();
      return true;
    }
    write_held();
    return write();
  }
  template <class Write>
  bool end(Write write) {
    --depth_;
    if (skipping()) return end_skipped();
    if (held_ == Held::nothing) return write();
    drop_held();
    return true;
  }
  // At the end of the skipped value, or of one in it.
  bool end_skipped() {
    if (depth_ == skipped_at_) skipped_at_ = 0;
    return true;
  }

  rapidjson::Writer<rapidjson::StringBuffer> writer_;
  const SparseJson& change_;
  std::optional<std::string> key_;
  Held held_ = Held::nothing;
  int depth_ = 0;
  int skipped_at_ = 0;   // the depth of the skipped member; 0: none
  bool in_map_ = false;  // the current member of the outermost object is one of `maps`
};

}  // namespace

std::string sparse_json(const std::string& text, const std::string& what,
                        const SparseJson& change) {
  rapidjson::StringBuffer buffer;
  Rewriter rewriter(buffer, change);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::ParseResult result = reader.Parse<kFlags>(stream, rewriter);
  if (result.Code() == rapidjson::kParseErrorTermination)
    throw Error::invalid_argument(what + " is not a JSON object");
  if (result.IsError())
    throw Error::invalid_argument(
        what + " is not JSON: " + std::string(rapidjson::GetParseError_En(result.Code())));
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace thinshim
