// SPDX-License-Identifier: Apache-2.0
// Changes the command line of this process as `ps` and /proc/PID/cmdline show it.
#pragma once

#include <string>
#include <vector>

namespace thinshim {

class CommandLine {
 public:
  // argc and argv of main(). The kernel shows the current content of that memory (proc(5)).
  CommandLine(int count, char** words);

  // Overwrites the arguments after the program's name, and omits the last ones if the memory is too
  // small. Forked processes inherit them.
  void replace(const std::vector<std::string>& words);
  // Restores the original arguments.
  void restore();

 private:
  char* begin_ = nullptr;
  char* end_ = nullptr;
  std::string original_;
};

}  // namespace thinshim
