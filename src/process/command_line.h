// SPDX-License-Identifier: Apache-2.0
// What others see as the command line of this process: `ps`, /proc/PID/cmdline.
#pragma once

#include <string>
#include <vector>

namespace thinshim {

class CommandLine {
 public:
  // Of main(): argc, argv. The kernel shows what stands there (proc(5)).
  CommandLine(int count, char** words);

  // Puts other words in the place of those behind the program's name; the last ones are left out
  // where there is no room for them. A process that is forked afterwards has them too.
  void replace(const std::vector<std::string>& words);
  // Puts the first words back.
  void restore();

 private:
  char* begin_ = nullptr;
  char* end_ = nullptr;
  std::string first_;
};

}  // namespace thinshim
