// SPDX-License-Identifier: Apache-2.0
// Files that output is appended to (file://PATH), each by a process of its own.
//
// A file system may hang, frozen or because its server is away, and one on a slow disk lets its
// writers wait (balance_dirty_pages). Nobody can wait for a file beside other work: epoll refuses
// it, and O_NONBLOCK means nothing to it. So nothing but this process touches the file: the shim
// answers, and the rest of its pod runs, while the output waits, or the process that writes it.
// A thread would not do: one that sleeps in the kernel where nobody can wake it makes its whole
// process unkillable, which keeps its sockets.
//
// The process is the shim's own binary under the name kLogFileProgram, and a logger as any other
// (stdio/logger.h): what comes on descriptors 3 and 4 goes into the file, until both have ended.
// The shim may be dead by then.
//
// Descriptor 5 is where it reports. At first, once: a zero byte, when the file is open; or why it
// is not, as text, and then it ends. After that, LogFileReports: a few, which a pipe holds though
// nobody reads them.
//
// A file that cannot be written (a full disk) costs output: what comes is dropped, and what comes
// next tried again, for disks are cleaned up. A fifo whose reader has gone is not tried again.
#pragma once

#include <cstdint>
#include <string>

#include "process/command.h"

namespace thinshim {

// What `ps` shows, before the path. No shim's name: who looks for shims does not mean this.
inline constexpr const char* kLogFileProgram = "thinshim-log";

struct LogFileReport {
  int stream = 0;          // the descriptor that it came from: 3 or 4
  int errnum = 0;          // why output is dropped from now on; 0 at the end of the stream
  std::uint64_t lost = 0;  // bytes, at the end of the stream
};

// Without its descriptors.
Command log_file_command(const std::string& path);

// For main(): whether this process was started by such a command, and then all that it does.
bool is_log_file(int count, char** words);
int keep_log_file(const std::string& path);

}  // namespace thinshim
