// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/error.h"

namespace thinshim::log {
namespace {

struct Sink {
  Fd fd;
  Level level = Level::info;
  unsigned long dropped = 0;  // lines lost since the last one that got through
};
Sink sink;

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug"};

// logrus leaves a value bare when it consists of these only (text_formatter.go, needsQuoting).
bool is_bare(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("-._/@^+").find(c) != std::string_view::npos;
}

void append_value(std::string& line, std::string_view value) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_bare)) {
    line += value;
    return;
  }
  line += '"';
  for (char c : value) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      line += escape;
    } else {
      line += c;
    }
  }
  line += '"';
}

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
bool enabled(Level level) { return sink.fd && level <= sink.level; }

std::string format(Level level, std::string_view message, Fields fields, long seconds, long nanos) {
  tm utc{};
  time_t when = seconds;
  gmtime_r(&when, &utc);
  char time[48];
  std::snprintf(time, sizeof time, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, nanos);
  std::string line = "time=\"" + std::string(time) + "\" level=";
  line += kNames[static_cast<int>(level)];
  line += " msg=";
  append_value(line, message);
  for (const auto& [key, value] : fields) {
    line += ' ';
    line += key;
    line += '=';
    append_value(line, value);
  }
  line += '\n';
  return line;
}

void write(Level level, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::string line = format(level, message, fields, now.tv_sec, now.tv_nsec);
  if (sink.dropped > 0) {
    std::string lost = std::to_string(sink.dropped);
    line = format(Level::warning, "log lines were lost: nobody read them", {{"lines", lost}},
                  now.tv_sec, now.tv_nsec) +
           line;
  }
  // Lines of up to PIPE_BUF bytes are written whole or not at all (pipe(7)).
  if (::write(sink.fd.get(), line.data(), line.size()) < 0)
    ++sink.dropped;
  else
    sink.dropped = 0;
}

}  // namespace thinshim::log
