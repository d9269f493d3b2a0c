// SPDX-License-Identifier: Apache-2.0
#include "base/quote.h"

#include <cstdint>
#include <cstdio>

namespace thinshim {

std::string escaped(std::string_view text) {
  std::string result;
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c == '\r') {
      result += "\\r";
    } else if (byte < 0x20 || byte >= 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\x%02x", byte);
      result += code;
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result;
}

std::string quoted(std::string_view text) { return '"' + escaped(text) + '"'; }

bool is_utf8(std::string_view text) {
  constexpr std::uint32_t kLeast[] = {0x80, 0x800, 0x10000};  // of 2, 3 and 4 bytes
  for (std::size_t i = 0; i < text.size();) {
    std::uint32_t point = static_cast<unsigned char>(text[i++]);
    if (point < 0x80) continue;
    if (point < 0xc0 || point > 0xf7) return false;
    std::size_t more = point < 0xe0 ? 1 : point < 0xf0 ? 2 : 3;
    if (text.size() - i < more) return false;
    point &= 0x3f >> more;
    for (std::size_t end = i + more; i < end; ++i) {
      std::uint32_t byte = static_cast<unsigned char>(text[i]);
      if ((byte & 0xc0) != 0x80) return false;
      point = point << 6 | (byte & 0x3f);
    }
    if (point < kLeast[more - 1] || point > 0x10ffff || (point & ~0x7ffu) == 0xd800) return false;
  }
  return true;
}

}  // namespace thinshim
