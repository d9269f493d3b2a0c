// SPDX-License-Identifier: Apache-2.0
// The report that SIGUSR1 asks for: the shim's state as JSON, in the log.
//
// It is one line if it fits (log::kLongestLine), else several parts, each behind its number and
// their count ("2/7 "); in order, they are that line. The kernel writes lines of this size to a
// pipe as a whole: none is truncated or mixed with those of another process. While the pipe is
// full, the reporter waits, 2 s at most for each part.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"

namespace thinshim {

// Splits `text`, which has no line feed, into lines of at most `longest` bytes with their line
// feed; `longest` is 32 or more.
std::vector<std::string> report_lines(const std::string& text, std::size_t longest);

class Reporter {
 public:
  // `text` is called for each report. Both must outlive the Reporter.
  Reporter(Loop& loop, std::function<std::string()> text) : loop_(loop), text_(std::move(text)) {}

  // Writes a report. While one is being written, any number of requests cause one more.
  void request();

 private:
  Task<> write_all();
  Task<bool> write_lines(std::vector<std::string> lines);

  Loop& loop_;
  std::function<std::string()> text_;
  bool requested_ = false;
  TaskSet writing_;
};

}  // namespace thinshim
