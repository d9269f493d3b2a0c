// SPDX-License-Identifier: Apache-2.0
#include "shim/toml.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/quote.h"

namespace thinshim {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_bare(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

void append_utf8(std::string& text, std::uint32_t point) {
  auto byte = [&](std::uint32_t bits) { text += static_cast<char>(bits); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xc0 | point >> 6);
    byte(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    byte(0xe0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3f));
    byte(0x80 | (point & 0x3f));
  } else {
    byte(0xf0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3f));
    byte(0x80 | (point >> 6 & 0x3f));
    byte(0x80 | (point & 0x3f));
  }
}

// One line, read from its front.
class Line {
 public:
  Line(std::string_view text, std::string where) : rest_(text), where_(std::move(where)) {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw Error(Code::invalid_argument, where_ + ": " + problem);
  }

  // Whether only blanks and a comment are left.
  bool at_end() {
    skip_blanks();
    return rest_.empty() || rest_[0] == '#';
  }

  std::string take_key() {
    if (is_quote(peek())) return take_string();
    auto end = std::ranges::find_if_not(rest_, is_bare);
    std::string key(rest_.begin(), end);
    if (key.empty()) refuse("expected a key, found " + quoted(rest_));
    rest_.remove_prefix(key.size());
    return key;
  }

  void take_equals(const std::string& key) {
    skip_blanks();
    if (peek() != '=') refuse(quoted(key) + ": expected \"=\" after the key");
    rest_.remove_prefix(1);
    skip_blanks();
  }

  std::variant<std::string, bool, std::int64_t> take_value(const std::string& key) {
    if (is_quote(peek())) return take_string();
    std::string_view word = rest_.substr(0, rest_.find_first_of(" \t#"));
    rest_.remove_prefix(word.size());
    if (word == "true") return true;
    if (word == "false") return false;
    std::string digits = without_underscores(word);
    std::string_view number = digits;
    std::string_view absolute = number;
    if (number.starts_with('+') || number.starts_with('-')) absolute.remove_prefix(1);
    if (number.starts_with('+')) number = absolute;
    bool well_formed = !absolute.empty() && std::ranges::all_of(absolute, is_digit) &&
                       (absolute.size() == 1 || absolute[0] != '0');
    std::int64_t value = 0;
    if (!well_formed ||
        std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc())
      refuse(quoted(key) + ": expected a string, true, false or a whole number");
    return value;
  }

 private:
  static bool is_quote(char c) { return c == '"' || c == '\''; }
  char peek() const { return rest_.empty() ? '\0' : rest_[0]; }
  void skip_blanks() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
  }

  // "1_000" = "1000"; an underscore that is not between two digits stays, and is an error later.
  static std::string without_underscores(std::string_view word) {
    std::string digits;
    for (std::size_t i = 0; i < word.size(); ++i) {
      bool between = i > 0 && i + 1 < word.size() && is_digit(word[i - 1]) && is_digit(word[i + 1]);
      if (word[i] != '_' || !between) digits += word[i];
    }
    return digits;
  }

  // '...' is literal, "..." has escapes.
  std::string take_string() {
    char quote = take();
    std::string text;
    for (;;) {
      if (rest_.empty()) refuse("unterminated string");
      char c = take();
      if (c == quote) return text;
      if (c == '\\' && quote == '"')
        take_escape(text);
      else
        text += c;
    }
  }

  void take_escape(std::string& text) {
    constexpr std::string_view kNames = "btnfr\"\\";
    constexpr std::string_view kCharacters = "\b\t\n\f\r\"\\";
    if (rest_.empty()) refuse("unterminated string");
    char name = take();
    if (std::size_t index = kNames.find(name); index != std::string_view::npos) {
      text += kCharacters[index];
      return;
    }
    std::size_t length = name == 'u' ? 4 : name == 'U' ? 8 : 0;
    std::string_view digits = rest_.substr(0, length);
    std::uint32_t point = 0;
    auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
    bool is_character = point < 0xd800 || (point > 0xdfff && point < 0x110000);
    if (length == 0 || problem != std::errc() || end != digits.data() + length || !is_character)
      refuse("invalid escape in a string");
    rest_.remove_prefix(length);
    append_utf8(text, point);
  }

  char take() {
    char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  std::string_view rest_;
  std::string where_;
};

bool is_control(char c) {
  unsigned char byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name) {
  std::vector<TomlEntry> entries;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view content = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(content.size() + 1, text.size()));
    if (content.ends_with('\r')) content.remove_suffix(1);
    Line line(content, name + ":" + std::to_string(number));
    if (std::ranges::any_of(content, is_control)) line.refuse("control character");
    if (!is_utf8(content)) line.refuse("not UTF-8");
    if (line.at_end()) continue;
    std::string key = line.take_key();
    if (std::ranges::find(entries, key, &TomlEntry::key) != entries.end())
      line.refuse(quoted(key) + ": duplicate key");
    line.take_equals(key);
    TomlEntry entry{key, line.take_value(key), number};
    if (!line.at_end()) line.refuse(quoted(key) + ": unexpected text after the value");
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace thinshim
