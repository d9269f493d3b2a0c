// SPDX-License-Identifier: Apache-2.0
// Parsers for files of /proc and of cgroups: lines of words. They neither allocate nor throw, and
// skip what they cannot parse, so that one unexpected line does not lose the others.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace thinshim {

// Removes everything up to the first `separator` from `text`, and returns what was before it.
inline std::string_view cut(std::string_view& text, char separator) {
  std::size_t end = std::min(text.find(separator), text.size());
  std::string_view head = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return head;
}

// Removes the first word from `line`, and returns it. Any number of blanks and tabs separate words.
inline std::string_view cut_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

// A decimal number; 0 if it is negative, nothing if `text` is not a number.
inline std::optional<std::uint64_t> parse_number(std::string_view text) {
  bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return negative ? 0 : number;
}

// The number in the first line of a file; `unlimited` for "max".
inline std::optional<std::uint64_t> parse_limit(std::string_view text, std::uint64_t unlimited) {
  std::string_view line = cut(text, '\n');
  std::string_view word = cut_word(line);
  return word == "max" ? unlimited : parse_number(word);
}

template <class Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) visit(cut(text, '\n'));
}

// Visits lines "NAME NUMBER".
template <class Visit>
void each_value(std::string_view text, Visit visit) {
  each_line(text, [&](std::string_view line) {
    std::string_view name = cut_word(line);
    if (std::optional<std::uint64_t> value = parse_number(cut_word(line))) visit(name, *value);
  });
}

// Visits words "NAME=VALUE" of a line.
template <class Visit>
void each_pair(std::string_view line, Visit visit) {
  for (std::string_view word = cut_word(line); !word.empty(); word = cut_word(line)) {
    std::string_view name = cut(word, '=');
    visit(name, word);
  }
}

}  // namespace thinshim
