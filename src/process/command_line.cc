// SPDX-License-Identifier: Apache-2.0
#include "process/command_line.h"

#include <algorithm>
#include <cstring>

namespace thinshim {

CommandLine::CommandLine(int count, char** words) {
  if (count < 2) return;
  begin_ = end_ = words[1];
  // One after the other, as execve(2) has laid them out.
  for (int i = 1; i < count && words[i] == end_; ++i) end_ += std::strlen(words[i]) + 1;
  first_.assign(begin_, end_);
}

// What is left over is filled with zeros, as other programs do that say there what they are at.
void CommandLine::replace(const std::vector<std::string>& words) {
  char* place = begin_;
  for (const std::string& word : words) {
    if (static_cast<std::size_t>(end_ - place) <= word.size()) break;
    place = std::copy_n(word.c_str(), word.size() + 1, place);
  }
  std::fill(place, end_, '\0');
}

void CommandLine::restore() { std::copy(first_.begin(), first_.end(), begin_); }

}  // namespace thinshim
