// SPDX-License-Identifier: Apache-2.0
// What SIGUSR1 asks for: what the shim knows, in the log, for people and for programs.
//
// One line of JSON where it fits a line of the log (log::kLongestLine); else parts that fit, each
// behind its number and their count ("2/7 "): put together in order, they are that line. So none is
// cut by a pipe that is almost full, or mixed with what others write. A log that is full is waited
// for, as long as somebody reads it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"

namespace thinshim {

// The lines in which `text`, itself without a line's end, is written: none above `longest` bytes,
// which are at least 32, with its end.
std::vector<std::string> report_lines(const std::string& text, std::size_t longest);

class Reporter {
 public:
  // `text` is asked for at each report; both must outlive the Reporter.
  Reporter(Loop& loop, std::function<std::string()> text) : loop_(loop), text_(std::move(text)) {}

  // Writes a report. Where one is being written, one more follows it, however often this is called.
  void ask();

 private:
  Task<> write_all();
  Task<bool> write_lines(std::vector<std::string> lines);

  Loop& loop_;
  std::function<std::string()> text_;
  bool asked_ = false;
  TaskSet writing_;
};

}  // namespace thinshim
