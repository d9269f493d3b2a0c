// SPDX-License-Identifier: Apache-2.0
// Streams of a simulated process, with real loggers: shell scripts.
#pragma once

#include <memory>
#include <string>

#include "process_io_fixture.h"
#include "terminal_fixture.h"

namespace thinshim::test {

// Writes an executable shell script; its URI has no query.
inline std::string write_logger(const TempDir& dir, const std::string& name,
                                const std::string& script) {
  write_file(dir / name, "#!/bin/sh\n" + script + "\n", 0755);
  return dir / name;
}

class LoggerTest : public ProcessIoTest {
 protected:
  // The URI of a logger that runs `script`; written("x") returns what it writes to "$dir/x".
  std::string logger(const std::string& script, const std::string& scheme = "binary") {
    const std::string name = "logger-" + std::to_string(++loggers_made_);
    return scheme + "://" +
           write_logger(dir_, name, "dir=" + dir_.path() + "\nPATH=/bin:/usr/bin\n" + script);
  }
  ProcessIo::Settings settings() {
    ProcessIo::Settings settings{dir_.path(), "c1/e1", 0, 0, options_, &*loggers_, "e1"};
    return settings;
  }
  void make(const Streams& streams) {
    io_ = std::make_unique<ProcessIo>(loop_, streams, settings());
  }
  // Starts the loggers and the process.
  void start_with(const Streams& streams) {
    make(streams);
    ProcessIoTest::start();
  }
  std::string start_failure(const Streams& streams, Event* stop = nullptr) {
    try {
      make(streams);
      run(io_->start_loggers(stop));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  std::string written(const std::string& name) {
    return read_file(dir_ / name).value_or("no file");
  }
  bool has_written(const std::string& name, const std::string& text) {
    return eventually([&] { return written(name) == text; });
  }

 private:
  int loggers_made_ = 0;
};

}  // namespace thinshim::test
