// SPDX-License-Identifier: Apache-2.0
#include "stdio/process_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/quote.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// How long the runtime may take to send the terminal after it has exited (as in the stock shim).
constexpr Duration kTerminalTimeout = 30s;
// No event reports that a reader has read from a pipe, so wait_until_read() polls: first once per
// iteration of the loop, because most readers are blocked in read(2); then ever less often.
constexpr int kImmediatePolls = 8;
constexpr Duration kMinReadPoll = 1ms;
constexpr Duration kMaxReadPoll = 16ms;
// How often finish() polls for readers and unwritten output.
constexpr Duration kFinishPoll = 20ms;

mode_t mode_of(const Fd& file) {
  struct stat status{};
  check(::fstat(file.get(), &status), "fstat");
  return status.st_mode;
}
bool is_fifo(const Fd& file) { return S_ISFIFO(mode_of(file)); }
bool is_regular(const Fd& file) { return S_ISREG(mode_of(file)); }

// The texts of the stock shim (process/io.go, copyPipes).
std::string input_failed(const std::string& path) {
  return "containerd-shim: opening " + path + " failed";
}
std::string output_failed(const char* kind, const std::string& path) {
  return std::string("containerd-shim: opening ") + kind + " " + quoted(path) + " failed: open " +
         path;
}

Fd open_path(const std::string& path, const std::string& failed) {
  Fd file = try_open(path, O_PATH);
  if (!file) throw_errno(failed);
  return file;
}

// Opens the file of an O_PATH descriptor, even if its path was replaced.
Fd reopen(const Fd& file, int flags, const std::string& failed) {
  Fd opened = try_open("/proc/self/fd/" + std::to_string(file.get()), flags);
  if (!opened) throw_errno(failed);
  return opened;
}

Pipe make_stream_pipe() { return make_pipe(0, "pipe2"); }

void chown_pipe(const ProcessIo::Settings& owner, const Fd& end) {
  if (owner.uid == 0 && owner.gid == 0) return;
  check(::fchown(end.get(), owner.uid, owner.gid), "fchown a pipe of the container");
}

}  // namespace

std::vector<std::string> paths_of(const Streams& streams) {
  std::vector<std::string> paths;
  if (!streams.in.empty()) paths.push_back(parse_stream_uri(streams.in).path);
  for (const std::string* output : {&streams.out, &streams.err}) {
    if (output->empty() || (streams.terminal && output == &streams.err)) continue;
    const StreamUri uri = parse_stream_uri(*output);
    if (uri.scheme == "fifo") paths.push_back(uri.path);
  }
  return paths;
}

ProcessIo::ProcessIo(Loop& loop, const Streams& streams, const Settings& settings)
    : loop_(loop), settings_(settings) {
  if (!settings_.options.readers) settings_.options.readers = std::make_shared<FifoReaders>(loop);
  if (!streams.in.empty()) find_stdin(streams.in, streams.terminal);
  if (streams.terminal) {
    console_socket_.emplace(loop, settings.bundle);
    Stream& output = outputs_.emplace_back();
    output.name = "terminal of " + settings.name;
    // A terminal must be read, or the process would block.
    output.target = streams.out.empty() ? "/dev/null" : streams.out;
    open_output(output, &PlannedLogger::out);
    return;
  }
  if (input_) {
    Pipe pipe = make_stream_pipe();
    chown_pipe(settings_, pipe.read);
    process_in_ = std::move(pipe.read);
    input_->sink = std::move(pipe.write);
  }
  if (!streams.out.empty())
    process_out_ = make_output_pipe("stdout of " + settings.name, streams.out, &PlannedLogger::out);
  const bool logger_gets_both = streams.err.empty() && !planned_loggers_.empty() &&
                                is_binary_logger(planned_loggers_.front().uri);
  const std::string& err = logger_gets_both ? streams.out : streams.err;
  if (!err.empty())
    process_err_ = make_output_pipe("stderr of " + settings.name, err, &PlannedLogger::err);
}

void ProcessIo::find_stdin(const std::string& uri, bool terminal) {
  std::string path = parse_stream_uri(uri).path;
  Fd path_fd = open_path(path, input_failed(path));
  if (!is_fifo(path_fd)) {
    if (terminal)
      throw Error::invalid_argument("containerd-shim: stdin " + path + " is not a fifo");
    process_in_ = reopen(path_fd, O_RDONLY | O_NONBLOCK | O_NOCTTY, input_failed(path));
    set_nonblocking(process_in_.get(), false);  // a file or a device needs no pump
    return;
  }
  input_.emplace();
  input_->name = "stdin of " + settings_.name;
  input_->target = path;
  input_->path_fd = std::move(path_fd);
}

void ProcessIo::open_stdin() {
  const std::string failed = input_failed(input_->target);
  input_->source = reopen(input_->path_fd, O_RDONLY | O_NONBLOCK, failed);
  // A writer, so that there is no end of file when the client closes the fifo. With a reader,
  // opening it cannot fail with ENXIO (fifo(7)).
  if (!stdin_closed_) input_->keeps_open = reopen(input_->path_fd, O_WRONLY | O_NONBLOCK, failed);
  input_->path_fd.reset();
}

Fd ProcessIo::make_output_pipe(const std::string& name, const std::string& target,
                               Fd PlannedLogger::* end) {
  Stream& output = outputs_.emplace_back();
  output.name = name;
  output.target = target;
  open_output(output, end);
  Pipe pipe = make_stream_pipe();
  chown_pipe(settings_, pipe.write);
  output.source = std::move(pipe.read);
  return std::move(pipe.write);
}

// A fifo's read end is opened first, so that opening the write end neither blocks nor fails.
void ProcessIo::open_output(Stream& output, Fd PlannedLogger::* end) {
  const StreamUri uri = parse_stream_uri(output.target);
  if (is_binary_logger(uri) || uri.scheme == "file") {
    plan_logger(output, uri, end);
    return;
  }
  if (uri.scheme != "fifo") throw Error::unknown("unknown STDIO scheme " + uri.scheme);
  const std::string file_failed = output_failed("file", uri.path);
  Fd path_fd = open_path(uri.path, file_failed);
  if (is_fifo(path_fd)) {
    output.keeps_open = reopen(path_fd, O_RDONLY | O_NONBLOCK, output_failed("r/o fifo", uri.path));
    output.sink = reopen(path_fd, O_WRONLY | O_NONBLOCK, output_failed("w/o fifo", uri.path));
  } else if (is_regular(path_fd)) {
    plan_logger(output, {"file", uri.path, {}}, end);
  } else {
    output.sink = reopen(path_fd, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY, file_failed);
  }
}

// A regular file is opened by the log file process, by its path.
void ProcessIo::plan_logger(Stream& output, const StreamUri& uri, Fd PlannedLogger::* end) {
  const std::string& target = output.target;
  const auto& allows = settings_.options.allows_logger;
  if (is_binary_logger(uri) && allows && !allows(uri.path))
    throw Error::permission_denied("the logger " + uri.path + " is not in binary_logger.allow");
  auto plan = std::ranges::find(planned_loggers_, target, &PlannedLogger::target);
  if (plan == planned_loggers_.end()) plan = planned_loggers_.insert(plan, {target, uri, {}, {}});
  Pipe pipe = make_stream_pipe();
  (*plan).*end = std::move(pipe.read);
  output.sink = std::move(pipe.write);
  output.to_logger = true;
}

Task<> ProcessIo::start_loggers(Event* stop) {
  for (PlannedLogger& plan : planned_loggers_) {
    // A pipe without a writer is at end of file.
    if (!plan.out) plan.out = make_stream_pipe().read;
    if (!plan.err) plan.err = make_stream_pipe().read;
    Loggers::Start start{plan.uri, settings_.id, settings_.name, plan.out.get(), plan.err.get()};
    Logger logger = co_await settings_.loggers->start(std::move(start), stop);
    loggers_.push_back({plan.target, std::move(logger)});
  }
  planned_loggers_.clear();
}

std::vector<int> ProcessIo::runtime_fds() const {
  return {process_in_.get(), process_out_.get(), process_err_.get()};
}

std::optional<std::string> ProcessIo::console_socket() const {
  if (!console_socket_) return std::nullopt;
  return console_socket_->path();
}

Task<> ProcessIo::attach() {
  process_in_.reset();
  process_out_.reset();
  process_err_.reset();
  if (console_socket_) co_await attach_terminal();
  attached_ = true;
  if (input_) {
    open_stdin();
    input_->pump.emplace(loop_, input_->source.get(), process_end(input_->sink),
                         Pump::BrokenSink::stop, input_->name);
    input_tasks_.spawn(copy_input(), input_->name);
  }
  for (Stream& output : outputs_) {
    // Pipes of loggers do not grow: some loggers stop reading when they learn of the exit (nerdctl,
    // pkg/logging), and would lose more than under other shims.
    const std::size_t pipe_size = output.to_logger ? 0 : settings_.options.pipe_size;
    output.pump.emplace(loop_, process_end(output.source), output.sink.get(),
                        Pump::BrokenSink::drop, output.name, pipe_size);
    output_tasks_.spawn(copy_output(output), output.name);
  }
  if (exited_) process_exited();
}

// The shim's end of the process's pipe, or the terminal.
Pump::End ProcessIo::process_end(const Fd& pipe) {
  if (pipe) return pipe.get();
  return {terminal_.get(), &*terminal_watch_};
}

Task<> ProcessIo::attach_terminal() {
  terminal_ = co_await console_socket_->receive(kTerminalTimeout);
  console_socket_.reset();
  terminal_peer_ = open_terminal_peer(terminal_.get());
  terminal_watch_.emplace(loop_, terminal_.get());
}

Task<> ProcessIo::copy_output(Stream& stream) {
  co_await stream.pump->run();
  end_output(stream);
}

// With a reader, closing the sink is end of file for the client. Without one, the sink of a fifo
// stays open until there is a reader: open(2) for reading blocks without a writer.
void ProcessIo::end_output(Stream& stream) {
  const bool is_client_fifo = static_cast<bool>(stream.keeps_open);
  stream.ended = true;
  stream.pump.reset();
  stream.source.reset();
  stream.keeps_open.reset();
  // If another output has the same fifo, has_reader() would find its `unread`. (Each output to a
  // logger has its own pipe.)
  for (Stream& output : outputs_)
    if (!output.to_logger && output.target == stream.target) output.unread.reset();
  const bool is_read = has_reader(stream.sink);
  if (is_client_fifo && !is_read) {
    reader_waits_.spawn(wait_for_reader(stream), stream.name);
  } else {
    // For wait_until_read(), which does without it if this fails.
    if ((is_client_fifo || stream.to_logger) && is_read && bytes_in(stream.sink.get()) > 0)
      stream.unread =
          try_open("/proc/self/fd/" + std::to_string(stream.sink.get()), O_RDONLY | O_NONBLOCK);
    stream.sink.reset();
  }
  end_loggers_without_output();
}

void ProcessIo::end_loggers_without_output() {
  for (RunningLogger& running : loggers_) {
    auto writes_to_it = [&](const Stream& output) {
      return !output.ended && output.target == running.target;
    };
    if (std::ranges::none_of(outputs_, writes_to_it)) running.logger.end_output();
  }
}

Task<> ProcessIo::wait_for_reader(Stream& stream) {
  co_await settings_.options.readers->wait_for(stream.sink);
  stream.sink.reset();
}

Task<> ProcessIo::copy_input() {
  co_await input_->pump->run();
  input_->pump.reset();
  if (terminal_) {
    co_await end_terminal_input();
  }
  input_.reset();
}

// The terminal may be full of unread input: waits until it is writable.
Task<> ProcessIo::end_terminal_input() {
  std::string end = end_of_input(terminal_.get());
  while (!end.empty()) {
    ssize_t n = ::write(terminal_.get(), end.data(), end.size());
    if (n < 0 && errno != EAGAIN && errno != EINTR) co_return;
    if (n < 0 && errno == EAGAIN) co_await terminal_watch_->writable();
    if (n > 0) end.erase(0, static_cast<std::size_t>(n));
  }
}

void ProcessIo::resize(unsigned width, unsigned height) {
  if (terminal_) resize_terminal(terminal_.get(), width, height);
}

void ProcessIo::close_stdin() {
  stdin_closed_ = true;
  if (input_) input_->keeps_open.reset();
}

void ProcessIo::process_exited() {
  exited_ = true;
  if (!attached_ || !terminal_) return;
  output_tasks_.cancel();
  output_tasks_.spawn(drain_terminal(), "terminal of " + settings_.name);
}

Task<> ProcessIo::drain_terminal() {
  for (Stream& output : outputs_) {
    if (!output.pump) continue;
    co_await output.pump->drain();
    end_output(output);
  }
}

Task<> ProcessIo::wait_for_loggers() {
  for (RunningLogger& running : loggers_) {
    co_await running.logger.wait_exit();
  }
}

// Whether an output has a reader and unwritten bytes for it.
bool ProcessIo::reader_has_output_to_come() const {
  return std::ranges::any_of(outputs_, [](const Stream& output) {
    return output.pump && has_reader(output.sink) && output.unwritten_bytes() > 0;
  });
}

// What is in the fifo or pipe of the client or logger, and what the pump has yet to write there. 0
// for a logger that has closed its pipe.
std::size_t ProcessIo::Stream::unread_bytes() const {
  if (unread) return bytes_in(unread.get());
  if (keeps_open) return bytes_in(keeps_open.get()) + unwritten_bytes();
  return to_logger && sink && has_reader(sink) ? bytes_in(sink.get()) + unwritten_bytes() : 0;
}

std::size_t ProcessIo::unread_bytes() const {
  std::size_t count = 0;
  for (const Stream& output : outputs_) count += output.unread_bytes();
  return count;
}

Task<> ProcessIo::wait_until_read(Duration idle_limit, Duration limit, Event& stop) {
  // The pauses are summed up instead of reading the clock: if the shim was not scheduled for a
  // while, the client was not idle.
  Duration waited{}, idle{};
  Duration pause{};
  int polls = 0;
  for (std::size_t before = unread_bytes(); before > 0 && !stop.is_set();) {
    if (idle >= idle_limit || waited >= limit) break;
    co_await TimedWait(loop_, stop, pause);
    waited += pause;
    const std::size_t now = unread_bytes();
    idle = now == before ? idle + pause : Duration{};
    before = now;
    if (++polls >= kImmediatePolls) pause = std::clamp(2 * pause, kMinReadPoll, kMaxReadPoll);
  }
  for (Stream& output : outputs_) output.unread.reset();
}

void ProcessIo::log_truncated_output() const {
  for (const Stream& output : outputs_) {
    if (!output.pump) continue;
    const std::size_t lost = output.unwritten_bytes();
    if (lost > 0)
      log::warning(output.to_logger ? "output was truncated: the logger did not read it in time"
                                    : "output was truncated: the client did not read it in time",
                   {{"stream", output.name}, {"bytes", std::to_string(lost)}});
    else
      log::warning("output was closed while a process still holds it open",
                   {{"stream", output.name}});
  }
}

Task<> ProcessIo::finish(Duration limit, Duration limit_with_reader) {
  const std::uint64_t begin = loop_.now();
  Task<> ending = output_tasks_.wait_empty();
  bool ended = co_await within(loop_, limit, std::move(ending));
  // Otherwise has_reader() would find them.
  for (Stream& output : outputs_) output.keeps_open.reset();
  while (!ended && Duration(loop_.now() - begin) < limit_with_reader &&
         reader_has_output_to_come()) {
    Task<> reading = output_tasks_.wait_empty();
    ended = co_await within(loop_, kFinishPoll, std::move(reading));
  }
  if (!ended) log_truncated_output();
  input_tasks_.cancel();
  output_tasks_.cancel();
  reader_waits_.cancel();
  input_.reset();
  outputs_.clear();
  planned_loggers_.clear();
  end_loggers_without_output();
  const Duration left = std::max(Duration(0), limit - Duration(loop_.now() - begin));
  Task<> flushing = wait_for_loggers();
  co_await within(loop_, left, std::move(flushing));
  loggers_.clear();
  console_socket_.reset();
  process_in_.reset();
  process_out_.reset();
  process_err_.reset();
  terminal_watch_.reset();
  terminal_peer_.reset();
  terminal_.reset();
}

}  // namespace thinshim
