// SPDX-License-Identifier: Apache-2.0
// The shim's log: one logrus text line per entry, `time="..." level=info msg="..." key=value`,
// which containerd copies to its own log (https://github.com/sirupsen/logrus, TextFormatter without
// colours).
//
// Logging never blocks and never throws. If the log fifo is full, lines are dropped, and the next
// line that can be written is preceded by their number (containerd issues 4509 and 4546: shims hung
// on a full log fifo). Lines of several shims never interleave: a line is at most PIPE_BUF bytes
// long (pipe(7)); longer values are truncated.
//
// The sink is global, one per process like the loop.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"

namespace thinshim::log {

enum class Level { error, warning, info, debug };
// "error", "warn", "warning", "info", "debug", "trace"; throws Error on anything else.
Level parse_level(std::string_view name);

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Sends lines to `sink` from now on, and makes it non-blocking. With an invalid Fd, and before the
// first call, lines are dropped. Throws Error if fcntl(2) fails.
void set_sink(Fd sink);
void set_level(Level level);

void write(Level level, std::string_view message, Fields fields = {}) noexcept;
inline void error(std::string_view message, Fields fields = {}) noexcept {
  write(Level::error, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) noexcept {
  write(Level::warning, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) noexcept {
  write(Level::info, message, fields);
}
inline void debug(std::string_view message, Fields fields = {}) noexcept {
  write(Level::debug, message, fields);
}

// Writes `line` and a newline unchanged, for programs that read the log. At most kLongestLine bytes
// with the newline. False if the log is full; the line does not count as dropped then.
bool write_line(std::string line) noexcept;

inline constexpr std::size_t kLongestLine = 4096;  // bytes: PIPE_BUF

// One log line, for tests and for output to stderr. At most kLongestLine bytes, unless the fields
// are many or their names long. `seconds`, `nanos`: the wall clock, UTC.
std::string format(Level level, std::string_view message, Fields fields, long seconds, long nanos);

}  // namespace thinshim::log
