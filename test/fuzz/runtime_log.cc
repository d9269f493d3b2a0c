// SPDX-License-Identifier: Apache-2.0
// The output of the OCI runtime: its log (oci/runtime_log.h), pid files, and the features that it
// prints.
#include "oci/runtime_log.h"

#include "fuzz/fuzz.h"
#include "oci/json.h"
#include "ttrpc/status.h"

namespace thinshim::fuzz {
namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";
constexpr const char* kLast = R"({"level":"error","msg":"the last","time":"2026-01-01T00:00:00Z"})";

void check_log(MemoryFile& file, std::string_view log) {
  const std::optional<std::string> error = last_runtime_error(file.with(log));
  if (error) {
    expect(!error->empty() && error->size() <= 64 << 10, "a reason has words, and an end");
    expect(kSpace.find(error->front()) == std::string_view::npos &&
               kSpace.find(error->back()) == std::string_view::npos,
           "a reason has no white space around it");
    const Error failure = Error::unknown(*error);
    expect(is_utf8(to_status(failure).message()), "any reason can be told");
  }
  const std::string more = std::string(log) + "\n" + kLast;
  for (const char* end : {"", "\n", "\n{\"level\":\"error\",\"ms"})
    expect(last_runtime_error(file.with(more + end)) == "the last", "the last error counts");
}

void check_pid_file(MemoryFile& file, std::string_view text) {
  const auto pid = attempt([&] { return read_pid_file(file.with(text)); });
  if (!pid) return;
  expect(**pid > 0, "a pid is above 0");
  expect(read_pid_file(file.with(std::to_string(**pid) + "\n")) == *pid, "a pid is read back");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static MemoryFile file;
  NoDescriptorLeft no_descriptor_left;
  const std::string_view text = text_of(data, size);
  check_log(file, text);
  check_pid_file(file, text.substr(0, 100));
  attempt([&] { return check_json_object(text, "features"), true; });
  return 0;
}
