// SPDX-License-Identifier: Apache-2.0
#include "oci/process_json.h"

#include "oci/sparse_json.h"

namespace thinshim {
namespace {

constexpr const char* kWhat = "the process of an exec";

}  // namespace

std::string with_terminal(const std::string& process, bool terminal) {
  return sparse_json(
      process, kWhat,
      {.without = {"terminal"}, .with = {{"terminal", terminal ? "true" : "false"}}});
}

std::string with_console_size(const std::string& process, unsigned width, unsigned height) {
  const std::string size =
      R"({"height":)" + std::to_string(height) + R"(,"width":)" + std::to_string(width) + "}";
  return sparse_json(process, kWhat, {.without = {"consoleSize"}, .with = {{"consoleSize", size}}});
}

}  // namespace thinshim
