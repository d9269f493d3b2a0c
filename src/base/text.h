// SPDX-License-Identifier: Apache-2.0
// The text that the kernel writes into files of /proc and of cgroups: lines of words. Nothing here
// allocates or throws; what is not as expected is passed over, because one odd line must not cost
// the others.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace thinshim {

// Cuts `text` at the first `separator`: what stands before it is returned and taken away.
inline std::string_view cut(std::string_view& text, char separator) {
  std::size_t end = std::min(text.find(separator), text.size());
  std::string_view head = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return head;
}

// The same for words of a line, however many blanks stand between them.
inline std::string_view cut_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

// A number; 0 for one below zero, nothing for what is none.
inline std::optional<std::uint64_t> parse_number(std::string_view text) {
  bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return negative ? 0 : number;
}

// The number that a file holds in its only line; "max" stands for `unlimited`.
inline std::optional<std::uint64_t> parse_limit(std::string_view text, std::uint64_t unlimited) {
  std::string_view line = cut(text, '\n');
  std::string_view word = cut_word(line);
  return word == "max" ? unlimited : parse_number(word);
}

template <class Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) visit(cut(text, '\n'));
}

// Lines "NAME NUMBER".
template <class Visit>
void each_value(std::string_view text, Visit visit) {
  each_line(text, [&](std::string_view line) {
    std::string_view name = cut_word(line);
    if (std::optional<std::uint64_t> value = parse_number(cut_word(line))) visit(name, *value);
  });
}

// Words "NAME=VALUE".
template <class Visit>
void each_pair(std::string_view line, Visit visit) {
  for (std::string_view word = cut_word(line); !word.empty(); word = cut_word(line)) {
    std::string_view name = cut(word, '=');
    visit(name, word);
  }
}

}  // namespace thinshim
