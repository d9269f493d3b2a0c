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

// A program at a new pseudo terminal, with the test as its user. The terminal does not turn \n into
// \r\n: the terminal inside the container does that. The destructor sends SIGKILL and waits for the
// exit.
class Terminal {
 public:
  explicit Terminal(std::vector<std::string> argv, WindowSize size = {24, 80});
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& text);
  void resize(WindowSize size);

  // Reads until the output contains `text`; false if the program exits before, or after the
  // timeout.
  bool wait_for(const std::string& text, Duration limit = kTestTimeout);
  const std::string& text() const { return text_; }

  // Waits for its exit; kills it after the timeout. `out` is all of its output.
  Outcome wait(Duration limit = kTestTimeout);

 private:
  bool read_some(Duration limit);

  pid_t pid_ = -1;
  int master_ = -1;
  std::string text_;
};

}  // namespace thinshim::test
