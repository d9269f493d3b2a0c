// SPDX-License-Identifier: Apache-2.0
#include "oci/runtime_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "oci/json.h"

namespace thinshim {
namespace {

constexpr std::uint64_t kWindow = 64 << 10;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

class EntryVisitor final : public JsonVisitor {
 public:
  bool is_error() const { return level_ == "error" || level_ == "ERROR" || level_ == "fatal"; }
  const std::string& message() const { return message_; }

  Step value(const JsonPath& path, const JsonValue& value) override {
    if (path.empty()) return value.kind == JsonKind::object ? Step::go_on : Step::stop;
    if (value.kind == JsonKind::string) {
      if (path[0] == "level") level_ = value.text;
      if (path[0] == "msg" || path[0] == "message") message_ = trimmed(value.text);
    }
    return Step::skip;
  }

 private:
  std::string level_;
  std::string message_;
};

// The message of an entry; nothing where its level is not an error.
std::optional<std::string> error_in(std::string_view line) {
  EntryVisitor entry;
  try {
    visit_json(line, entry);
  } catch (const Error&) {
    return std::nullopt;  // not an entry, or a part of one
  }
  if (!entry.is_error() || entry.message().empty()) return std::nullopt;
  return entry.message();
}

// The last kWindow bytes of the file; they may begin in the middle of a line.
std::string read_tail(const std::string& path) {
  const Fd file = open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat status{};
  check(::fstat(file.get(), &status), "fstat");
  if (!S_ISREG(status.st_mode)) throw Error::unknown("open " + path + ": not a regular file");
  std::uint64_t size = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t begin = size - std::min(size, kWindow);

  std::string tail(size - begin, '\0');
  std::size_t filled = 0;
  while (filled < tail.size()) {
    ssize_t n = ::pread(file.get(), tail.data() + filled, tail.size() - filled,
                        static_cast<off_t>(begin + filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read " + path);
    if (n == 0) break;
    filled += static_cast<std::size_t>(n);
  }
  tail.resize(filled);
  return tail;
}

}  // namespace

std::optional<std::string> last_runtime_error(const std::string& path) {
  const std::string tail = read_tail(path);
  const std::string_view text = tail;
  std::string_view rest = text;
  std::size_t entry_end = text.size();
  while (!rest.empty()) {
    std::size_t newline = rest.rfind('\n');
    std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    std::optional<std::string> error = error_in(rest.substr(begin));
    if (rest.substr(begin).starts_with('{')) {
      if (!error) error = error_in(text.substr(begin, entry_end - begin));
      entry_end = begin;
    }
    if (error) return error;
    rest = rest.substr(0, begin == 0 ? 0 : newline);
  }
  return std::nullopt;
}

}  // namespace thinshim
