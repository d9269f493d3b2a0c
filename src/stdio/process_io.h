// SPDX-License-Identifier: Apache-2.0
// The standard streams of one container process, from before the runtime creates it until the
// client deletes it.
//
// For each stream the client names a fifo, a file, a logger, or nothing (stdio/stream_uri.h). The
// process gets pipes or a terminal, and pumps copy the bytes between the two. So the process
// outlives its client, and never writes to a broken pipe. All errors of the client's request are
// thrown by the constructor and start_loggers(), before there is a process.
//
// - Output: the client gets end of file when the process and its descendants have closed their
//   write ends, and all output was copied; finish() limits the wait. A terminal's output ends when
//   the process exits.
// - Without a client (containerd restarts) no output is lost: the shim keeps the fifo open during
//   the output, and after its end until a reader opens the fifo or finish() is called.
// - Input ends with close_stdin(), not when the client closes the fifo. It is opened after the
//   process was created: a client that has written its input and then closes the stdin of its
//   process must find the process (nerdctl, pkg/taskutil).
// - If stdout and stderr have the same file or logger, one logger gets both. If only stdout has a
//   binary logger, it gets stderr too, as in the stock shim.
//
// No output blocks the event loop: fifos are opened without waiting for the other end, pumps never
// block, and each file has a process of its own (stdio/log_file.h). Paths without a scheme must
// have been looked up (process/lookup.h): the constructor opens them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"
#include "stdio/console.h"
#include "stdio/fifo_readers.h"
#include "stdio/logger.h"
#include "stdio/pump.h"

namespace thinshim {

// The client's request: paths or URIs; empty: none. With a terminal, `err` is ignored.
struct Streams {
  std::string in;
  std::string out;
  std::string err;
  bool terminal = false;
};

// The paths that the constructor of ProcessIo opens. Throws Error invalid_argument.
std::vector<std::string> paths_of(const Streams& streams);

// Configuration, the same for all processes.
struct StdioOptions {
  // Bytes to which pipes grow if the client is slow (stdio/pump.h); 0: they do not grow. Pipes of
  // loggers never grow.
  std::size_t pipe_size = 1u << 20;
  // How long Delete waits after the exit for the client and the loggers to read the output. CRI's
  // deletion times out after 10 s, which must suffice for the rest of it too (containerd issue
  // 13377).
  Duration drain_timeout = std::chrono::seconds(4);
  // Whether this path may be run as a logger; empty: all may.
  std::function<bool(const std::string&)> allows_logger;
  // Shared by all processes of the shim; null: each process has its own.
  std::shared_ptr<FifoReaders> readers = {};
};

class ProcessIo {
 public:
  struct Settings {
    std::string bundle;  // for the console socket
    std::string name;    // for the log
    uid_t uid = 0;       // owner of the pipes, for user namespaces; uid and gid 0: unchanged
    gid_t gid = 0;
    StdioOptions options = {};
    Loggers* loggers = nullptr;  // required if a stream has a logger or a file
    std::string id = {};         // CONTAINER_ID of the loggers
  };
  // Opens fifos and devices; start_loggers() opens files. Throws Error with the stock shim's texts,
  // `containerd-shim: opening file "PATH" failed: open PATH: reason` and "unknown STDIO scheme X";
  // permission_denied for a logger that is not allowed.
  ProcessIo(Loop& loop, const Streams& streams, const Settings& settings);
  ProcessIo(const ProcessIo&) = delete;
  ProcessIo& operator=(const ProcessIo&) = delete;

  // Returns once all loggers are ready and all files open. Throws Error if one fails, or when
  // `stop` is set.
  Task<> start_loggers(Event* stop = nullptr);

  // Descriptors 0, 1, 2 for the runtime; -1: /dev/null.
  std::vector<int> runtime_fds() const;
  // For the runtime's --console-socket; nothing without a terminal.
  std::optional<std::string> console_socket() const;

  // Call it when the runtime has created the process: receives the terminal and starts the pumps.
  // Throws Error.
  Task<> attach();

  // Throws Error if the ioctl fails. No effect without a terminal.
  void resize(unsigned width, unsigned height);
  // Ends the input after the bytes that are already written. May be called at any time, and
  // repeatedly.
  void close_stdin();
  // Call it when the process has exited: a terminal's output ends after the bytes that it holds.
  void process_exited();
  // Waits until the clients and loggers have read all output. Returns early after `limit`, after
  // `idle_limit` in which nothing was read, or when `stop` is set.
  Task<> wait_until_read(Duration idle_limit, Duration limit, Event& stop);
  // Waits until all output was written to the clients' fifos and the loggers have exited, but no
  // longer than `limit`; then closes all streams. While a client has its fifo open and there is
  // output for it, waits up to `limit_with_reader`. `loggers` terminates loggers that still run.
  Task<> finish(Duration limit, Duration limit_with_reader = {});

 private:
  // One direction. The pump is destroyed before the descriptors that it watches.
  struct Stream {
    Stream() : to_logger(false) {}
    std::string name;
    std::string target;
    Fd path_fd;     // stdin before attach(): O_PATH
    Fd source;      // none if it is the terminal
    Fd sink;        // none if it is the terminal
    Fd keeps_open;  // the other end of the client's fifo, held while no client has it open
    Fd unread;      // a read end, to see whether the client has read the output after its end
    bool to_logger;
    bool ended = false;
    std::optional<Pump> pump;
    std::size_t unwritten_bytes() const { return pump ? pump->unwritten_bytes() : 0; }
    std::size_t unread_bytes() const;
  };
  // A logger that start_loggers() will start, and the read ends of its pipes.
  struct PlannedLogger {
    std::string target;
    StreamUri uri;
    Fd out;
    Fd err;
  };
  struct RunningLogger {
    std::string target;
    Logger logger;
  };
  Fd make_output_pipe(const std::string& name, const std::string& target, Fd PlannedLogger::* end);
  void open_output(Stream& output, Fd PlannedLogger::* end);
  void plan_logger(Stream& output, const StreamUri& uri, Fd PlannedLogger::* end);
  void find_stdin(const std::string& uri, bool terminal);
  void open_stdin();
  Task<> attach_terminal();
  Pump::End process_end(const Fd& pipe);
  Task<> copy_output(Stream& stream);
  void end_output(Stream& stream);
  Task<> wait_for_reader(Stream& stream);
  Task<> copy_input();
  Task<> end_terminal_input();
  bool reader_has_output_to_come() const;
  std::size_t unread_bytes() const;
  void log_truncated_output() const;
  Task<> drain_terminal();
  void end_loggers_without_output();
  Task<> wait_for_loggers();

  Loop& loop_;
  Settings settings_;
  Fd process_in_, process_out_, process_err_;  // for the runtime; closed by attach()
  std::optional<ConsoleSocket> console_socket_;
  Fd terminal_;       // the master, for both directions
  Fd terminal_peer_;  // keeps the slave open
  std::optional<Watch> terminal_watch_;
  std::optional<Stream> input_;
  std::list<Stream> outputs_;
  std::list<PlannedLogger> planned_loggers_;
  std::list<RunningLogger> loggers_;
  bool stdin_closed_ = false;
  bool attached_ = false;
  bool exited_ = false;
  TaskSet input_tasks_;
  TaskSet output_tasks_;
  TaskSet reader_waits_;
};

}  // namespace thinshim
