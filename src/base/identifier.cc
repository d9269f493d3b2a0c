// SPDX-License-Identifier: Apache-2.0
#include "base/identifier.h"

#include "base/error.h"
#include "base/quote.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxLength = 76;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_separator(char c) { return c == '.' || c == '_' || c == '-'; }

}  // namespace

bool is_identifier(std::string_view name) {
  if (name.empty() || name.size() > kMaxLength) return false;
  char before = '.';  // an identifier must not begin with a separator
  for (char c : name) {
    if (!is_alphanumeric(c) && (!is_separator(c) || is_separator(before))) return false;
    before = c;
  }
  return !is_separator(before);
}

void check_identifier(std::string_view name, const std::string& what) {
  if (name.empty()) throw Error::invalid_argument(what + " must not be empty");
  if (name.size() > kMaxLength)
    throw Error::invalid_argument(what + " " + quoted(name) + " greater than maximum length (" +
                                  std::to_string(kMaxLength) + " characters)");
  if (!is_identifier(name))
    throw Error::invalid_argument(what + " " + quoted(name) +
                                  " must match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$");
}

void check_no_nul(std::string_view text, const std::string& what) {
  if (text.find('\0') != std::string_view::npos)
    throw Error::invalid_argument(what + ": " + quoted(text) + " contains a NUL byte");
}

}  // namespace thinshim
