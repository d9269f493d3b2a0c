// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/subprocess.h"

namespace thinshim::test {

struct WindowSize {
  unsigned short rows;
  unsigned short columns;
};

// A program at a pseudo terminal of its own, with the test in the place of the person. The terminal
// doesn't turn \n into \r\n: that is done by the terminal inside the container.
// Destroying it kills it with SIGKILL and waits for its end.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> argv, WindowSize size = {24, 80});
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& text);
  void resize(WindowSize size);

  // Reads until the screen's text so far contains `text`; false when the program ended, or the time
  // did, without.
  bool wait_for(const std::string& text, Duration limit = kPatience);
  const std::string& text() const { return text_; }

  // Waits for its end; kills it when the time is over. All that it wrote is in `out`.
  Outcome wait(Duration limit = kPatience);

 private:
  bool read_some(Duration limit);

  pid_t pid_ = -1;
  int master_ = -1;
  std::string text_;
};

}  // namespace thinshim::test
