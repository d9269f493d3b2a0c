// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/error.h"
#include "base/quote.h"

namespace thinshim::log {
namespace {

struct Sink {
  Fd fd;
  Level level = Level::info;
  unsigned long dropped = 0;  // lines, since the last one written
};
Sink sink;

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug"};

// logrus does not quote a value that consists of these only (text_formatter.go, needsQuoting).
bool is_bare(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("-._/@^+").find(c) != std::string_view::npos;
}

// Bytes reserved for each value, however long those before it are.
constexpr std::size_t kLeastRoom = 64;

// Appends a value in at most `room` bytes.
void append_value(std::string& line, std::string_view value, std::size_t room) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_bare)) {
    line += escaped(value, room);
    return;
  }
  line += '"';
  line += escaped(value, room - 2);
  line += '"';
}

bool put(const std::string& line) { return ::write(sink.fd.get(), line.data(), line.size()) >= 0; }

}  // namespace

Level parse_level(std::string_view name) {
  if (name == "error" || name == "fatal" || name == "panic") return Level::error;
  if (name == "warn" || name == "warning") return Level::warning;
  if (name == "info") return Level::info;
  if (name == "debug" || name == "trace") return Level::debug;
  throw Error::invalid_argument("log level \"" + std::string(name) + "\"");
}

void set_sink(Fd fd) {
  if (fd) set_nonblocking(fd.get(), true);
  sink.fd = std::move(fd);
}
void set_level(Level level) { sink.level = level; }

std::string format(Level level, std::string_view message, Fields fields, long seconds, long nanos) {
  tm utc{};
  time_t when = seconds;
  gmtime_r(&when, &utc);
  char time[48];
  std::snprintf(time, sizeof time, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, nanos);
  std::size_t kept = 1;  // bytes reserved for the newline and the remaining fields
  for (const auto& [key, value] : fields) kept += 1 + key.size() + 1 + kLeastRoom;
  std::string line = "time=\"" + std::string(time) + "\" level=";
  line += kNames[static_cast<int>(level)];
  line += " msg=";
  append_value(line, message, kLongestLine - kept - line.size());
  for (const auto& [key, value] : fields) {
    kept -= 1 + key.size() + 1 + kLeastRoom;
    line += ' ';
    line += key;
    line += '=';
    append_value(line, value, kLongestLine - kept - line.size());
  }
  line += '\n';
  return line;
}

void write(Level level, std::string_view message, Fields fields) noexcept {
  if (!sink.fd || level > sink.level) return;
  try {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (sink.dropped > 0 &&
        put(format(Level::warning, "log lines were lost: the log fifo was full",
                   {{"lines", std::to_string(sink.dropped)}}, now.tv_sec, now.tv_nsec)))
      sink.dropped = 0;
    if (sink.dropped > 0 || !put(format(level, message, fields, now.tv_sec, now.tv_nsec)))
      ++sink.dropped;
  } catch (const std::exception&) {  // out of memory
    ++sink.dropped;
  }
}

bool write_line(std::string line) noexcept {
  if (!sink.fd) return true;
  line += '\n';
  return put(line);
}

}  // namespace thinshim::log
