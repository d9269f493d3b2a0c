// SPDX-License-Identifier: Apache-2.0
#include "oci/json.h"

#include <fcntl.h>
#include <unistd.h>

#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/fd.h"
#include "base/quote.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxFileSize = 16u << 20;
constexpr std::size_t kMaxDepth = 512;  // RapidJSON recurses; a bundle's files have a depth of 8

// An input stream for RapidJSON, over a text or over a file that is read in chunks.
class Input {
 public:
  using Ch = char;
  explicit Input(std::string_view text)
      : start_(text.data()), next_(start_), end_(start_ + text.size()) {}
  explicit Input(int file) : file_(file), start_(chunk_), next_(chunk_), end_(chunk_) {}

  // 0 is the end of the input for RapidJSON. A 0 byte in a document is an error in either case.
  Ch Peek() { return next_ < end_ || refill() ? *next_ : '\0'; }
  Ch Take() { return next_ < end_ || refill() ? *next_++ : '\0'; }
  std::size_t Tell() const { return before_ + static_cast<std::size_t>(next_ - start_); }
  // for parsing in place only
  Ch* PutBegin() { return nullptr; }
  void Put(Ch) {}
  std::size_t PutEnd(Ch*) { return 0; }

 private:
  bool refill() {
    if (file_ < 0) return false;
    before_ += static_cast<std::size_t>(end_ - chunk_);
    next_ = end_ = chunk_;
    if (before_ > kMaxFileSize)
      throw Error::unknown("larger than " + std::to_string(kMaxFileSize) + " bytes");
    ssize_t n;
    do n = ::read(file_, chunk_, sizeof chunk_);
    while (n < 0 && errno == EINTR);
    if (n < 0) throw Error(Code::unknown, errno_text(errno), errno);
    end_ = chunk_ + n;
    return n > 0;
  }

  int file_ = -1;
  std::size_t before_ = 0;  // bytes of the document before start_
  const char* start_;
  const char* next_;
  const char* end_;
  char chunk_[8192];
};

// Tracks the path of RapidJSON's events and calls the visitor.
class Walker : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Walker> {
 public:
  explicit Walker(JsonVisitor& visitor) : visitor_(visitor) {}

  // Whether the visitor stopped the parsing, and no error did.
  bool stopped() const { return stopped_; }
  bool too_deep() const { return depth_ > kMaxDepth; }

  bool Null() { return scalar(JsonKind::null, {}); }
  bool Bool(bool value) { return scalar(JsonKind::boolean, value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return scalar(JsonKind::number, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return scalar(JsonKind::string, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!skipped_from_) path_.back().assign(text, size);
    return true;
  }
  bool StartObject() { return enter(JsonKind::object, ""); }
  bool StartArray() { return enter(JsonKind::array, "*"); }
  bool EndObject(rapidjson::SizeType) { return leave(); }
  bool EndArray(rapidjson::SizeType) { return leave(); }

 private:
  bool scalar(JsonKind kind, std::string_view text) {
    if (skipped_from_) return true;
    return proceed(visitor_.value(path_, {kind, text}));
  }
  bool enter(JsonKind kind, const char* first_key) {
    if (++depth_ > kMaxDepth) return false;
    if (skipped_from_) return true;
    JsonVisitor::Step step = visitor_.value(path_, {kind, {}});
    if (step == JsonVisitor::Step::skip)
      skipped_from_ = depth_;
    else
      path_.emplace_back(first_key);
    return proceed(step);
  }
  bool leave() {
    std::size_t depth = depth_--;
    if (skipped_from_) {
      if (skipped_from_ == depth) skipped_from_ = 0;
      return true;
    }
    path_.pop_back();
    return proceed(visitor_.end(path_));
  }
  bool proceed(JsonVisitor::Step step) {
    stopped_ = step == JsonVisitor::Step::stop;
    return !stopped_;
  }

  JsonVisitor& visitor_;
  JsonPath path_;
  std::size_t depth_ = 0;
  std::size_t skipped_from_ = 0;  // the depth of the skipped value; 0: none
  bool stopped_ = false;
};

void visit(Input& input, JsonVisitor& visitor) {
  constexpr unsigned kFlags =
      rapidjson::kParseStopWhenDoneFlag | rapidjson::kParseNumbersAsStringsFlag;
  Walker walker(visitor);
  rapidjson::Reader reader;
  rapidjson::ParseResult result = reader.Parse<kFlags>(input, walker);
  if (!result.IsError() || walker.stopped()) return;
  const char* reason = walker.too_deep() ? "nested too deeply" : GetParseError_En(result.Code());
  throw Error::unknown("invalid JSON at byte " + std::to_string(result.Offset()) + ": " + reason);
}

}  // namespace

void visit_json(std::string_view text, JsonVisitor& visitor) {
  Input input(text);
  visit(input, visitor);
}

void visit_json_file(const std::string& path, JsonVisitor& visitor) {
  Fd file = open_file(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  Input input(file.get());
  try {
    visit(input, visitor);
  } catch (const Error& failure) {
    throw failure.in("read " + path);
  }
}

void check_json_object(std::string_view text, const std::string& what) {
  struct Outermost final : JsonVisitor {
    Step value(const JsonPath& path, const JsonValue& value) override {
      if (path.empty()) is_object = value.kind == JsonKind::object;
      return Step::go_on;
    }
    bool is_object = false;
  } outermost;
  try {
    visit_json(text, outermost);
  } catch (const Error& error) {
    throw Error::invalid_argument(what + ": " + error.what());
  }
  if (!outermost.is_object) throw Error::invalid_argument(what + ": not a JSON object");
}

void refuse_json(const JsonPath& path, const char* expected) {
  std::string name;
  for (const std::string& key : path) name += (name.empty() ? "" : ".") + key;
  throw Error::unknown(escaped(name) + ": " + expected + " expected");
}

std::uint32_t json_uint32(const JsonPath& path, const JsonValue& value) {
  std::uint32_t number = 0;
  if (value.kind == JsonKind::null) return number;
  const char* end = value.text.data() + value.text.size();
  auto [stop, problem] = std::from_chars(value.text.data(), end, number);
  if (value.kind != JsonKind::number || problem != std::errc() || stop != end)
    refuse_json(path, "number of 32 bits");
  return number;
}

}  // namespace thinshim
