// SPDX-License-Identifier: Apache-2.0
#include "base/quote.h"

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

}  // namespace thinshim
