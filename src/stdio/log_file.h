// SPDX-License-Identifier: Apache-2.0
// The log file process: appends output to one file (file://PATH).
//
// A file system may hang (frozen, or its server is down), and a slow disk blocks its writers
// (balance_dirty_pages). The event loop cannot wait for a file: epoll refuses regular files, and
// they ignore O_NONBLOCK. So only this process accesses the file; if it blocks, the shim still
// answers and the rest of the pod runs. A thread would not do: a thread in uninterruptible sleep
// makes the whole process unkillable, and keeps its sockets open.
//
// The process runs the shim's own binary under the name kLogFileProgram. It is a logger like any
// other (stdio/logger.h): it copies descriptors 3 and 4 to the file until both are at end of file,
// even after the shim's death.
//
// Descriptor 5 is for its reports. First either a zero byte, when the file is open, or the error as
// text, after which the process exits. Then LogFileReports, so few that the pipe can hold them even
// if the shim does not read them.
//
// If a write fails (disk full), the data is dropped; the next data is tried again. A fifo without
// a reader (EPIPE) is not tried again.
#pragma once

#include <cstdint>
#include <string>

#include "process/command.h"

namespace thinshim {

// The name that `ps` shows, before the path. Not that of a shim, so that a search for shims does
// not find this process.
inline constexpr const char* kLogFileProgram = "thinshim-log";

struct LogFileReport {
  int stream = 0;          // the descriptor of the output: 3 or 4
  int errnum = 0;          // of the write that failed; 0 at the end of the stream
  std::uint64_t lost = 0;  // bytes dropped, at the end of the stream
};

// The command that starts the process, without `fds`.
Command log_file_command(const std::string& path);

// For main(): whether this process is a log file process, and its work; returns the exit code.
bool is_log_file(int count, char** words);
int run_log_file(const std::string& path);

}  // namespace thinshim
