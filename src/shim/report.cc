// SPDX-License-Identifier: Apache-2.0
#include "shim/report.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// Nothing that a fifo and its reader do is announced to a log that must never block.
constexpr Duration kPause = 10ms;
constexpr Duration kUnread = 2s;  // after which nobody is expected to read

}  // namespace

std::vector<std::string> report_lines(const std::string& text, std::size_t longest) {
  if (text.size() < longest) return {text};
  const std::size_t most = std::to_string(text.size()).size();
  const std::size_t room = longest - (2 * most + 3);  // "2/7 ", and the line's end
  const std::size_t count = (text.size() + room - 1) / room;
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size(); begin += room)
    lines.push_back(std::to_string(lines.size() + 1) + "/" + std::to_string(count) + " " +
                    text.substr(begin, room));
  return lines;
}

void Reporter::ask() {
  if (std::exchange(asked_, true)) return;
  if (writing_.empty()) writing_.spawn(write_all(), "write a report");
}

Task<> Reporter::write_all() {
  while (std::exchange(asked_, false)) {
    Task<bool> writing = write_lines(report_lines(text_(), log::kLongestLine));
    const bool written = co_await std::move(writing);
    if (!written) log::warning("a report was cut off: nobody reads the log");
  }
}

Task<bool> Reporter::write_lines(std::vector<std::string> lines) {
  for (const std::string& line : lines) {
    for (Duration waited{}; !log::write_line(line); waited += kPause) {
      if (waited >= kUnread) co_return false;
      co_await sleep(loop_, kPause);
    }
  }
  co_return true;
}

}  // namespace thinshim
