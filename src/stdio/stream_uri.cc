// SPDX-License-Identifier: Apache-2.0
#include "stdio/stream_uri.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/quote.h"
#include "base/text.h"

namespace thinshim {
namespace {

std::optional<std::string> decode(std::string_view text, bool plus_is_blank) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char byte = text[i];
    if (byte == '+' && plus_is_blank) byte = ' ';
    if (byte == '%') {
      unsigned char value = 0;
      const char* begin = text.data() + i + 1;
      if (text.size() - i < 3) return std::nullopt;
      auto [end, problem] = std::from_chars(begin, begin + 2, value, 16);
      if (problem != std::errc() || end != begin + 2) return std::nullopt;
      byte = static_cast<char>(value);
      i += 2;
    }
    if (byte == '\0') return std::nullopt;  // would truncate a path or an argument
    result += byte;
  }
  return result;
}

std::string decode_or_refuse(std::string_view part, bool plus_is_blank, const std::string& uri) {
  std::optional<std::string> decoded = decode(part, plus_is_blank);
  if (!decoded) throw Error::invalid_argument("STDIO URI " + quoted(uri) + ": invalid %-encoding");
  return *decoded;
}

}  // namespace

StreamUri parse_stream_uri(const std::string& text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string::npos || text.front() == '/') return {"fifo", text, {}};
  StreamUri uri{text.substr(0, colon), text.substr(colon + 3), {}};
  if (uri.scheme != "file" && uri.scheme != "binary" && uri.scheme != "binary-v2") return uri;
  std::string_view query(text);
  query.remove_prefix(colon + 3);
  query = cut(query, '#');
  uri.path = decode_or_refuse(cut(query, '?'), false, text);
  if (!uri.path.starts_with('/'))
    throw Error::invalid_argument("STDIO URI " + quoted(text) + ": path is not absolute");
  while (!query.empty()) {
    std::string_view value = cut(query, '&');
    if (value.empty()) continue;
    std::string_view key = cut(value, '=');
    uri.query.emplace_back(decode_or_refuse(key, true, text), decode_or_refuse(value, true, text));
  }
  return uri;
}

}  // namespace thinshim
