// SPDX-License-Identifier: Apache-2.0
// Loggers: programs that a process's output is given to, and which keep it. There are two kinds:
// programs of the client's choice (binary:///PATH?key=value&..., containerd's docs/runtime-v2.md,
// "Logging"), and the shim's own process that appends to one file (file:///PATH,
// stdio/log_file.h).
//
// A program of the client's gets, as from the stock shim (process/io.go and io_util.go of
// containerd's shim):
//   arguments    key, value, key, value of the URI's query, a key's first value only; in the order
//                written, which the stock shim does not keep
//   environment  CONTAINER_ID, the exec's id for an exec; CONTAINER_NAMESPACE; nothing else
//   descriptors  0, 1, 2: /dev/null; 3: stdout; 4: stderr, at its end at once with a terminal;
//                5: to be closed when it is ready, after a byte was written (binary-v2) or with
//                none
//
// The process's own pipes end at the shim, which passes the bytes on by splice; the stock shim
// gives the program the very pipes that the process writes to. That would save the splice, but
// whoever holds a pipe's read end only to save its writer from SIGPIPE cannot see that the other
// reader has gone: a program that has died could still be noticed by its exit, one that has closed
// its descriptors, or has left them to a child of its own, could not, and the container would stand
// still or its output be taken from under its reader. A pipe of the program's own ends with EPIPE
// exactly when its last reader has gone, and with end of file when the process's output is cut off,
// though an orphan holds it open.
//
// A logger that dies early is reported, not started anew. One that has got the end of its input has
// `flush` to end by itself, then SIGTERM, then SIGKILL (containerd issue 4159: killed loggers lose
// logs). Nobody needs to wait for that. The process of a file gets no SIGKILL: as long as it is
// stuck that would not end it, and when it no longer is, it is about to write what it has.
#pragma once

#include <memory>
#include <string>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"
#include "process/reaper.h"
#include "stdio/stream_uri.h"

namespace thinshim {

// Whether it is a program of the client's; a file is not.
bool names_logger(const StreamUri& uri);

// One that runs. Dropping it says that no more output comes.
class Logger {
 public:
  Logger(Logger&& other) noexcept = default;
  Logger& operator=(Logger&&) = delete;
  ~Logger() { output_is_over(); }

  // Whoever calls it has closed the write ends of what the program reads.
  void output_is_over();
  // Waits for the program's end.
  Task<> ended();

 private:
  friend class Loggers;
  struct State;
  Logger(class Loggers& owner, std::shared_ptr<State> state);
  class Loggers* owner_;
  std::shared_ptr<State> state_;  // none after a move
};

// Starts loggers and sees to their end. Outlives them, as far as they end.
class Loggers {
 public:
  struct Limits {
    Duration ready = std::chrono::seconds(30);  // to say so
    Duration flush = std::chrono::seconds(10);  // from the end of input to SIGTERM
    Duration killed = std::chrono::seconds(2);  // from one signal to the next
  };
  Loggers(Reaper& reaper, std::string containerd_namespace);
  Loggers(Reaper& reaper, std::string containerd_namespace, Limits limits);

  struct Start {
    StreamUri uri;        // binary, binary-v2, file
    std::string id;       // the container's or the exec's
    std::string process;  // whose output it is, for the log
    int out = -1;         // read ends
    int err = -1;
  };
  // Returns once the logger says that it is ready. Throws Error where it cannot be started, ends
  // or hangs before (binary: an end is taken for ready), a file cannot be opened ("open PATH:
  // reason"), or `stop` is set meanwhile.
  Task<Logger> start(Start start, Event* stop = nullptr);

  // Waits until all that have got the end of their input have ended, which is bounded.
  Task<> finish() { return finishing_.wait_empty(); }

 private:
  friend class Logger;
  Logger launch(const Start& start, Fd ready);
  Task<> watch(std::shared_ptr<Logger::State> logger);
  Task<> hear_reports(std::shared_ptr<Logger::State> logger);
  Task<> see_to_end(std::shared_ptr<Logger::State> logger);

  Reaper& reaper_;
  std::string containerd_namespace_;
  Limits limits_;
  TaskSet watching_;
  TaskSet finishing_;
};

}  // namespace thinshim
