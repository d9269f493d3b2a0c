// SPDX-License-Identifier: Apache-2.0
// The standard streams of one container process, from before the runtime makes it until the client
// has deleted it.
//
// The client names fifos (or a file, a logging program, or nothing) for each stream
// (stdio/stream_uri.h). The process gets pipes, or a terminal, and pumps move the bytes between the
// two, so the container outlives its reader and never writes to a broken pipe. Whatever can be
// refused is refused by the constructor or by start_loggers(), before there is a process.
//
// - Output ends for the client when the process and all that it left behind have closed it, and not
//   before what is in the pipe has gone on; finish() bounds the wait. A terminal's output ends with
//   the process itself.
// - A client that is away (a restart of containerd) loses nothing: the fifo is kept open while the
//   output lasts, and after its end until a reader comes or finish() is called.
// - A client that goes away is no end of input. close_stdin() is. Input is opened when the process
//   is there: a client that has written all, and then asks for its process in order to close its
//   input, must find it (nerdctl, pkg/taskutil).
// - A file or a program that stdout and stderr both name is one logger. A program that stdout alone
//   names gets stderr too, as it does from the stock shim.
//
// What can hold up the loop: no output of a process. Fifos are opened without waiting for their
// other end, pipes, fifos and terminals are moved as far as they are ready, and files belong to a
// process each (stdio/log_file.h). Only the file system of a path that a client names without
// file:// can, for as long as it takes to find out what is there.
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
#include "stdio/absent_readers.h"
#include "stdio/console.h"
#include "stdio/logger.h"
#include "stdio/pump.h"

namespace thinshim {

// What the client asked for: paths or URIs, empty for none. With a terminal, stderr is not used.
struct Streams {
  std::string in;
  std::string out;
  std::string err;
  bool terminal = false;
};

// What is configured for all.
struct StdioOptions {
  // Bytes, for output that meets a slow client (stdio/pump.h); 0: as it is. Not a logger's.
  std::size_t pipe_size = 1u << 20;
  // How long after the exit output may be held up, and a logger write, before Delete goes on. CRI
  // gives up on a deletion after 10 s, so this must leave room for the rest of it (containerd issue
  // 13377).
  Duration drain_timeout = std::chrono::seconds(4);
  // Whether this file may be run as a logger; none: any may.
  std::function<bool(const std::string&)> allows_logger;
  // Who waits for clients that are away, for all processes of a shim; none: each process by itself.
  std::shared_ptr<AbsentReaders> readers = {};
};

class ProcessIo {
 public:
  struct Settings {
    std::string bundle;  // where the console socket goes
    std::string name;    // for the log
    uid_t uid = 0;       // who owns the pipes, for user namespaces; 0: as they are
    gid_t gid = 0;
    StdioOptions options = {};
    Loggers* loggers = nullptr;  // needed where a stream names one, or a file
    std::string id = {};         // what they are told of whom the output is
  };
  // Opens what the client named, but for files. Throws Error "... opening PATH failed: reason",
  // "unknown STDIO scheme X", permission_denied for a logger that may not be run.
  ProcessIo(Loop& loop, const Streams& streams, const Settings& settings);
  ProcessIo(const ProcessIo&) = delete;
  ProcessIo& operator=(const ProcessIo&) = delete;

  // Returns once they are ready, and files open. Throws Error where one isn't, or `stop` is set
  // meanwhile.
  Task<> start_loggers(Event* stop = nullptr);

  // Descriptors 0, 1, 2 for the runtime, which passes them on; -1: /dev/null.
  std::vector<int> runtime_fds() const;
  // For the runtime's --console-socket; nothing without a terminal.
  std::optional<std::string> console_socket() const;

  // The runtime has made the process: takes over the terminal and starts to move bytes.
  Task<> attach();

  // Throws Error where the terminal refuses. Without a terminal it does nothing.
  void resize(unsigned width, unsigned height);
  // No more input will come once what was written has been read. May be called at any time, more
  // than once.
  void close_stdin();
  // The process is dead: a terminal's output ends with what it holds.
  void process_exited();
  // Waits until clients and loggers have read all that there is in their fifos and pipes and on its
  // way there, as long as they go on reading: neither for `limit`, nor for `quiet` in which it
  // stayed as it was, nor once `enough` is set.
  Task<> wait_read(Duration quiet, Duration limit, Event& enough);
  // Waits, for at most `limit`, until all output has gone into the client's fifo and the loggers
  // have ended; then ends every stream. As long as output is on its way to a client that is there,
  // it waits for up to `while_it_flows`. Loggers that go on are seen to by `loggers`.
  Task<> finish(Duration limit, Duration while_it_flows = {});

 private:
  // One direction. The pump goes before the descriptors that it watches.
  struct Stream {
    Stream() : to_logger(false) {}
    std::string name;
    std::string target;
    Fd place;       // of input that attach() will open
    Fd source;      // none of a terminal's output
    Fd sink;        // none of a terminal's input
    Fd keeps_open;  // the other end of the client's fifo, in place of a client that is away
    Fd unread;      // the reading end after the end of an output that has not been read yet
    bool to_logger;
    bool ended = false;
    std::optional<Pump> pump;
    std::size_t on_its_way() const { return pump ? pump->on_its_way() : 0; }
    std::size_t unread_bytes() const;
  };
  // A logger that is still to be started, and what it will read.
  struct LoggerPlan {
    std::string target;
    StreamUri uri;
    Fd out;
    Fd err;
  };
  struct RunningLogger {
    std::string target;
    Logger logger;
  };
  Fd make_output_pipe(const std::string& name, const std::string& target, Fd LoggerPlan::* end);
  void open_output(Stream& output, Fd LoggerPlan::* end);
  void plan_logger(Stream& output, const StreamUri& uri, Fd LoggerPlan::* end);
  void find_stdin(const std::string& uri, bool terminal);
  void open_stdin();
  Task<> attach_terminal();
  Pump::End end_of_process(const Fd& pipe);
  Task<> move_output(Stream& stream);
  void end_output(Stream& stream);
  Task<> wait_for_reader(Stream& stream);
  Task<> move_input();
  Task<> end_terminal_input();
  bool output_is_on_its_way() const;
  std::size_t unread() const;
  void report_what_is_cut_off() const;
  Task<> drain_terminal();
  void end_loggers_without_output();
  Task<> wait_for_loggers();

  Loop& loop_;
  Settings settings_;
  // What the runtime gets; closed once it has.
  Fd process_in_, process_out_, process_err_;
  std::optional<ConsoleSocket> console_socket_;
  Fd terminal_;  // the one descriptor of it, for both directions
  Fd terminal_peer_;
  std::optional<Watch> terminal_watch_;
  std::optional<Stream> input_;
  std::list<Stream> outputs_;
  std::list<LoggerPlan> planned_loggers_;
  std::list<RunningLogger> loggers_;
  bool stdin_closed_ = false;
  bool attached_ = false;
  bool exited_ = false;
  TaskSet moving_in_;
  TaskSet moving_out_;
  TaskSet absent_readers_;
};

}  // namespace thinshim
