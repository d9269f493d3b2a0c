// SPDX-License-Identifier: Apache-2.0
// A parser for the part of TOML 1.0 (https://toml.io/en/v1.0.0) that a table of options needs:
// lines KEY = VALUE, comments and blank lines. Keys are bare or quoted; values are strings of one
// line, true, false, or whole decimal numbers. Anything else in TOML (tables, dotted keys, lists,
// floats, dates, strings of several lines) is not an option, and is an error.
//
// Not a library, because the text comes from requests: that of Debian 12 (tomlplusplus 3.3) aborts
// on "[\x01", or has undefined behaviour if assertions are off.
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

// In the order of the text, without duplicate keys. Throws Error invalid_argument "NAME:LINE: what
// is wrong".
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name);

}  // namespace thinshim
