// SPDX-License-Identifier: Apache-2.0
// Shared by the targets. A target is a function of bytes that checks promises of the code that it
// calls; README.md lists them.
#pragma once

#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/quote.h"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerInitialize(int* argc, char*** argv);
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned seed);
}

namespace thinshim::fuzz {

// libprotobuf logs refusals on stderr; silenced as in the shim.
inline const auto kNoLog = google::protobuf::SetLogHandler(nullptr);

// A broken promise aborts the process, and libFuzzer keeps the input.
inline void expect(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", promise);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The result of `parse`, or nothing if it refused its input, which it may do with an Error only.
template <class Parse>
auto attempt(Parse parse) -> std::optional<decltype(parse())> {
  try {
    return parse();
  } catch (const Error& refusal) {
    expect(refusal.code() != Code::ok, "a refusal has a code");
    return std::nullopt;
  }
}

// The same for texts in logs and errors: always one line of printable ASCII.
template <class Parse>
auto attempt_in_words(Parse parse) -> std::optional<decltype(parse())> {
  try {
    return parse();
  } catch (const Error& refusal) {
    expect(refusal.code() != Code::ok, "a refusal has a code");
    for (const char* c = refusal.what(); *c; ++c)
      expect(*c >= ' ' && *c <= '~', "a refusal is one line of printable ASCII");
    return std::nullopt;
  }
}

// Removes the first `n` bytes, or fewer if there are no more.
inline std::string_view take(std::string_view& bytes, std::size_t n) {
  std::string_view head = bytes.substr(0, n);
  bytes.remove_prefix(head.size());
  return head;
}
inline unsigned take_byte(std::string_view& bytes) {
  std::string_view head = take(bytes, 1);
  return head.empty() ? 0 : static_cast<unsigned char>(head[0]);
}

// The parts between `separator`s.
inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

inline bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// A file in memory, for parsers that need a path. The path of a memfd is a link, which they do not
// follow.
class MemoryFile {
 public:
  MemoryFile() : file_(check(::mkostemp(path_.data(), O_CLOEXEC), "make a file in memory")) {}
  ~MemoryFile() { ::unlink(path_.c_str()); }
  MemoryFile(const MemoryFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& with(std::string_view content) {
    check(::ftruncate(file_.get(), 0), "empty a file in memory");
    const ssize_t n = ::pwrite(file_.get(), content.data(), content.size(), 0);
    expect(n == static_cast<ssize_t>(content.size()), "memory takes a file");
    return path_;
  }

 private:
  std::string path_ = "/dev/shm/thinshim-fuzz-XXXXXX";
  Fd file_;
};

// Detects leaked descriptors: the next one must always have the same number.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() : next_(next()) {}
  ~NoDescriptorLeft() { expect(next() == next_, "no descriptor is left open"); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;

 private:
  static int next() {
    Fd copy(::dup(0));
    return copy.get();
  }
  int next_;
};

}  // namespace thinshim::fuzz
