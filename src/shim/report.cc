// SPDX-License-Identifier: Apache-2.0
#include "shim/report.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPause = 10ms;  // between tries to write to a full pipe
constexpr Duration kTimeout = 2s;  // for each line

}  // namespace

std::vector<std::string> report_lines(const std::string& text, std::size_t longest) {
  if (text.size() < longest) return {text};
  const std::size_t most = std::to_string(text.size()).size();
  const std::size_t room = longest - (2 * most + 3);  // without "2/7 " and the line feed
  const std::size_t count = (text.size() + room - 1) / room;
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size(); begin += room)
    lines.push_back(std::to_string(lines.size() + 1) + "/" + std::to_string(count) + " " +
                    text.substr(begin, room));
  return lines;
}

void Reporter::request() {
  if (std::exchange(requested_, true)) return;
  if (writing_.empty()) writing_.spawn(write_all(), "write a report");
}

Task<> Reporter::write_all() {
  while (std::exchange(requested_, false)) {
    const bool written = co_await write_lines(report_lines(text_(), log::kLongestLine));
    if (!written) log::warning("report truncated: the log was not read for 2s");
  }
}

Task<bool> Reporter::write_lines(std::vector<std::string> lines) {
  for (const std::string& line : lines) {
    for (Duration waited{}; !log::write_line(line); waited += kPause) {
      if (waited >= kTimeout) co_return false;
      co_await sleep(loop_, kPause);
    }
  }
  co_return true;
}

}  // namespace thinshim
