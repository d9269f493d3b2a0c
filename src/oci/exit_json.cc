// SPDX-License-Identifier: Apache-2.0
#include "oci/exit_json.h"

#include <strings.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>

#include "base/error.h"
#include "base/quote.h"
#include "oci/json.h"

namespace thinshim {
namespace {

constexpr int kDigitsOfNanoseconds = 9;

[[noreturn]] void throw_invalid(std::string_view what, std::string_view text) {
  throw Error::unknown("invalid " + std::string(what) + ": " + quoted(text.substr(0, 200)));
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  bool take(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void require(char wanted) {
    if (!take(wanted)) throw_invalid("time", text_);
  }
  int number(std::size_t digits) {
    int value = 0;
    const std::string_view part = rest_.substr(0, digits);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || value < 0 || part.size() != digits || end != part.data() + digits)
      throw_invalid("time", text_);
    rest_.remove_prefix(digits);
    return value;
  }
  std::size_t digits_ahead() const {
    return std::min(rest_.find_first_not_of("0123456789"), rest_.size());
  }

 private:
  std::string_view text_;
  std::string_view rest_;
};

// RFC 3339, "2026-11-30T16:46:09.5+01:00".
timespec parse_time(std::string_view text) {
  Reader reader(text);
  tm parts{};
  parts.tm_year = reader.number(4) - 1900;
  reader.require('-');
  parts.tm_mon = reader.number(2) - 1;
  reader.require('-');
  parts.tm_mday = reader.number(2);
  reader.require('T');
  parts.tm_hour = reader.number(2);
  reader.require(':');
  parts.tm_min = reader.number(2);
  reader.require(':');
  parts.tm_sec = reader.number(2);
  timespec time{};
  if (reader.take('.')) {
    const std::size_t digits = reader.digits_ahead();
    if (digits == 0 || digits > kDigitsOfNanoseconds) throw_invalid("time", text);
    time.tv_nsec = reader.number(digits);
    for (std::size_t i = digits; i < kDigitsOfNanoseconds; ++i) time.tv_nsec *= 10;
  }
  int offset = 0;  // seconds east of UTC
  if (!reader.take('Z')) {
    const bool west = reader.take('-');
    if (!west) reader.require('+');
    offset = reader.number(2) * 3600;
    reader.require(':');
    offset += reader.number(2) * 60;
    if (west) offset = -offset;
  }
  const tm wanted = parts;
  time.tv_sec = ::timegm(&parts) - offset;
  const bool is_date = parts.tm_mday == wanted.tm_mday && parts.tm_mon == wanted.tm_mon &&
                       parts.tm_hour == wanted.tm_hour && parts.tm_min == wanted.tm_min;
  if (!is_date || !reader.at_end()) throw_invalid("time", text);
  return time;
}

class ExitVisitor final : public JsonVisitor {
 public:
  Exit exit{-1, -1, {}};
  bool has_time = false;

  // Go ignores the case of names.
  Step value(const JsonPath& path, const JsonValue& value) override {
    if (path.empty()) {
      if (value.kind != JsonKind::object) refuse_json({"exit"}, "object");
      return Step::go_on;
    }
    if (is(path[0], "Timestamp")) {
      if (value.kind != JsonKind::string) refuse_json(path, "string");
      exit.at = parse_time(value.text);
      has_time = true;
    } else if (is(path[0], "Pid")) {
      exit.pid = number(path, value);
    } else if (is(path[0], "Status")) {
      exit.status = number(path, value);
    }
    return Step::skip;
  }

 private:
  static bool is(const std::string& key, const char* name) {
    return ::strcasecmp(key.c_str(), name) == 0;
  }
  static int number(const JsonPath& path, const JsonValue& value) {
    const std::uint32_t number = json_uint32(path, value);
    if (number > static_cast<std::uint32_t>(std::numeric_limits<int>::max()))
      refuse_json(path, "number of 31 bits");
    return static_cast<int>(number);
  }
};

}  // namespace

std::string exit_to_json(const Exit& exit) {
  tm parts{};
  ::gmtime_r(&exit.at.tv_sec, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09ld", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<long>(exit.at.tv_nsec));
  std::string time = text;
  time.erase(time.find_last_not_of('0') + 1);
  if (time.back() == '.') time.pop_back();
  return R"({"Timestamp":")" + time + R"(Z","Pid":)" + std::to_string(exit.pid) + R"(,"Status":)" +
         std::to_string(exit.status) + "}";
}

Exit exit_from_json(std::string_view json) {
  constexpr std::int64_t kGoZeroTime = -62135596800;  // year 1
  ExitVisitor visitor;
  visit_json(json, visitor);
  const Exit& exit = visitor.exit;
  if (!visitor.has_time || exit.at.tv_sec <= kGoZeroTime || exit.pid <= 0 || exit.status < 0)
    throw_invalid("exit record", json);
  return exit;
}

}  // namespace thinshim
