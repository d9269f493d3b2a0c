// SPDX-License-Identifier: Apache-2.0
// A reader for the part of TOML 1.0 (https://toml.io/en/v1.0.0) that a table of options is written
// in: a line for each, KEY = VALUE, comments and blank lines. Keys are bare or quoted; values are
// strings of one line, true, false, or whole decimal numbers. Whatever else TOML has (tables,
// dotted keys, lists, floats, dates, strings of several lines) could be no option, and is refused.
//
// Not a library, because the text arrives in requests: that of Debian 12 (tomlplusplus 3.3) aborts
// on "[\x01", or runs into undefined behaviour where assertions are off.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace thinshim {

struct TomlEntry {
  std::string key;
  std::variant<std::string, bool, std::int64_t> value;
  int line;  // from 1
};

// In the order of the text; no key twice. Throws Error invalid_argument "NAME:LINE: what is wrong".
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name);

}  // namespace thinshim
