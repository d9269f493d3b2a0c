// SPDX-License-Identifier: Apache-2.0
#include "process/command_line.h"

#include <algorithm>
#include <cstring>

namespace thinshim {

CommandLine::CommandLine(int count, char** words) {
  if (count < 2) return;
  begin_ = end_ = words[1];
  // execve(2) puts them one after the other.
  for (int i = 1; i < count && words[i] == end_; ++i) end_ += std::strlen(words[i]) + 1;
  original_.assign(begin_, end_);
}

// The rest is filled with zeros, as other programs that change their command line do.
void CommandLine::replace(const std::vector<std::string>& words) {
  char* place = begin_;
  for (const std::string& word : words) {
    if (static_cast<std::size_t>(end_ - place) <= word.size()) break;
    place = std::copy_n(word.c_str(), word.size() + 1, place);
  }
  std::fill(place, end_, '\0');
}

void CommandLine::restore() { std::copy(original_.begin(), original_.end(), begin_); }

}  // namespace thinshim
