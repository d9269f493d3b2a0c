// SPDX-License-Identifier: Apache-2.0
// Loggers: programs that store a process's output. There are two kinds: programs that the client
// names (binary:///PATH?key=value&..., containerd's docs/runtime-v2.md, "Logging"), and the shim's
// own process that appends to one file (file:///PATH, stdio/log_file.h).
//
// The interface of the former is that of the stock shim (process/io.go and io_util.go):
//   arguments    key, value, key, value, ... of the URI's query; only the first value of a key; in
//                the order of the URI (the stock shim's order is random)
//   environment  CONTAINER_ID (the exec's id for an exec), CONTAINER_NAMESPACE; nothing else
//   descriptors  0, 1, 2: /dev/null; 3: stdout; 4: stderr, which is at end of file with a terminal;
//                5: the logger closes it when it is ready; binary-v2: after it has written a byte
//
// The process writes to pipes of the shim, which splices the bytes to pipes of the logger. The
// stock shim lets the process write to the logger's pipes directly, and holds their read ends open
// so that the process gets no SIGPIPE. With that, the shim could not notice a logger that has
// closed its descriptors or has left them to a child: the container would block, or the shim would
// have to steal the output from a reader. With separate pipes, write(2) fails with EPIPE exactly
// when the last reader has closed its end. And the shim can end the logger's input though an orphan
// of the process holds its output open.
//
// A logger that exits early is logged, and not restarted. After the end of its input, a logger has
// Limits::flush to exit, then it gets SIGTERM, then SIGKILL (containerd issue 4159: killed loggers
// lose logs); no call waits for that. A log file process gets no SIGKILL: while it hangs in the
// kernel SIGKILL does not end it, and afterwards it writes the rest of the output and exits.
#pragma once

#include <memory>
#include <string>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"
#include "process/reaper.h"
#include "stdio/stream_uri.h"

namespace thinshim {

// Whether the scheme is binary or binary-v2.
bool is_binary_logger(const StreamUri& uri);

// A running logger. The destructor calls end_output().
class Logger {
 public:
  Logger(Logger&& other) noexcept = default;
  Logger& operator=(Logger&&) = delete;
  ~Logger() { end_output(); }

  // Starts the termination of the logger (flush, SIGTERM, SIGKILL) in the background. The caller
  // must have closed the write ends of its pipes.
  void end_output();
  // Waits until the logger has exited.
  Task<> wait_exit();

 private:
  friend class Loggers;
  struct State;
  Logger(class Loggers& owner, std::shared_ptr<State> state);
  class Loggers* owner_;
  std::shared_ptr<State> state_;  // null after a move
};

// Starts and terminates loggers. Must outlive its Logger objects.
class Loggers {
 public:
  struct Limits {
    Duration ready = std::chrono::seconds(30);  // from the start until it is ready
    Duration flush = std::chrono::seconds(10);  // from the end of its input to SIGTERM
    Duration killed = std::chrono::seconds(2);  // from SIGTERM to SIGKILL, and to the error log
  };
  Loggers(Reaper& reaper, std::string containerd_namespace);
  Loggers(Reaper& reaper, std::string containerd_namespace, Limits limits);

  struct Start {
    StreamUri uri;        // binary, binary-v2, file
    std::string id;       // CONTAINER_ID
    std::string process;  // names the process in the log
    int out = -1;         // read end of its stdout
    int err = -1;         // and of its stderr
  };
  // Returns once the logger is ready. Throws Error if it cannot be started, exits (binary: an exit
  // counts as ready) or times out before, if a file cannot be opened ("open PATH: reason"), or when
  // `stop` is set.
  Task<Logger> start(Start start, Event* stop = nullptr);

  // Waits until the termination of all loggers whose output has ended is done; it is bounded by
  // Limits.
  Task<> finish() { return finishing_.wait_empty(); }

 private:
  friend class Logger;
  Logger launch(const Start& start, Fd ready);
  Task<> watch(std::shared_ptr<Logger::State> logger);
  Task<> read_reports(std::shared_ptr<Logger::State> logger);
  Task<> terminate(std::shared_ptr<Logger::State> logger);

  Reaper& reaper_;
  std::string containerd_namespace_;
  Limits limits_;
  TaskSet watching_;
  TaskSet finishing_;
};

}  // namespace thinshim
