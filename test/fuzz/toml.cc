// SPDX-License-Identifier: Apache-2.0
// The options table of CRI: shim/toml.h, and what shim/options.h makes of it.
#include "shim/toml.h"

#include <algorithm>

#include "fuzz/fuzz.h"
#include "shim/options.h"

namespace thinshim::fuzz {
namespace {

// The entries in a canonical form.
struct Writer {
  std::string operator()(const std::string& text) const {
    std::string quoted_text = "\"";
    for (char c : text) {
      char code[16];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
      if (control)
        quoted_text += code;
      else
        quoted_text += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
    }
    return quoted_text + "\"";
  }
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
};

void check_entries(std::string_view text, const std::vector<TomlEntry>& entries) {
  const auto lines = 1 + std::ranges::count(text, '\n');
  std::string written;
  std::vector<std::string> keys;
  for (const TomlEntry& entry : entries) {
    expect(entry.line >= 1 && entry.line <= lines, "an entry is on a line of the text");
    expect(is_utf8(entry.key), "a key is UTF-8");
    if (auto* value = std::get_if<std::string>(&entry.value))
      expect(is_utf8(*value), "a string is UTF-8");
    keys.push_back(entry.key);
    written += Writer()(entry.key) + " = " + std::visit(Writer(), entry.value) + "\n";
  }
  std::ranges::sort(keys);
  expect(std::ranges::adjacent_find(keys) == keys.end(), "no key comes twice");
  const std::vector<TomlEntry> again = parse_toml(written, "again");
  expect(std::ranges::equal(again, entries,
                            [](const TomlEntry& a, const TomlEntry& b) {
                              return a.key == b.key && a.value == b.value;
                            }),
         "what is written is read back the same");
}

}  // namespace
}  // namespace thinshim::fuzz

using namespace thinshim;
using namespace thinshim::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(text_of(data, size));
  const auto entries = attempt_in_words([&] { return parse_toml(text, "text"); });
  if (entries) check_entries(text, *entries);
  RuncOptions options;
  const bool known =
      attempt_in_words([&] { return apply_toml_options(text, options), true; }) == true;
  expect(entries || !known, "options are taken from a text that can be read only");
  return 0;
}
