// SPDX-License-Identifier: Apache-2.0
#include "base/quote.h"

#include <cstdint>
#include <cstdio>

namespace thinshim {

namespace {

void append_escaped(std::string& result, char c) {
  const unsigned char byte = static_cast<unsigned char>(c);
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

}  // namespace

std::string escaped(std::string_view text, std::size_t max) {
  constexpr std::string_view kEllipsis = "...";
  std::string result;
  std::size_t last = 0;  // the longest part that leaves room for kEllipsis
  for (char c : text) {
    if (result.size() + kEllipsis.size() <= max) last = result.size();
    append_escaped(result, c);
    if (result.size() > max) return result.substr(0, last).append(kEllipsis, 0, max - last);
  }
  return result;
}

std::string quoted(std::string_view text) { return '"' + escaped(text) + '"'; }

std::size_t utf8_length(std::string_view text) {
  constexpr std::uint32_t kMin[] = {0, 0x80, 0x800, 0x10000};  // code point, by length
  if (text.empty()) return 0;
  std::uint32_t point = static_cast<unsigned char>(text[0]);
  if (point < 0x80) return 1;
  if (point < 0xc0 || point > 0xf7) return 0;
  const std::size_t more = point < 0xe0 ? 1 : point < 0xf0 ? 2 : 3;
  if (text.size() <= more) return 0;
  point &= 0x3f >> more;
  for (std::size_t i = 1; i <= more; ++i) {
    const std::uint32_t byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3f);
  }
  const bool is_surrogate = (point & ~0x7ffu) == 0xd800;
  return point < kMin[more] || point > 0x10ffff || is_surrogate ? 0 : more + 1;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace thinshim
