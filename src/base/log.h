// SPDX-License-Identifier: Apache-2.0
// The shim's log: one logrus text line per entry, `time="..." level=info msg="..." key=value`,
// which containerd copies to its own log (https://github.com/sirupsen/logrus, TextFormatter without
// colours).
//
// Logging never blocks and never throws: a fifo that nobody reads loses lines, and the next line
// that gets through says how many (containerd issues 4509 and 4546: shims hung on a full log fifo).
// Lines of several shims never mix: none is longer than a pipe takes whole (pipe(7), PIPE_BUF), and
// values that are too long for that are cut. The sink is one per process, like the loop; nothing
// else in the program is global.
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

// Lines go to `sink` from now on; an invalid Fd drops them. Before the first call they are dropped.
// Makes it non-blocking; throws Error where that cannot be done.
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

// One line as it is, for programs to read: `line` without its end, with which it is not above
// kLongestLine. False where the log takes none now; nothing is counted as lost then.
bool write_line(std::string line) noexcept;

inline constexpr std::size_t kLongestLine = 4096;

// The line as it is written, for tests and for callers that print to stderr; not above
// kLongestLine, as long as fields are few and their names short. `seconds`, `nanos`: the wall
// clock, UTC.
std::string format(Level level, std::string_view message, Fields fields, long seconds, long nanos);

}  // namespace thinshim::log
