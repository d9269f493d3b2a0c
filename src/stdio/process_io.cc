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

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// How long the runtime may take to send the terminal after it has returned (the stock shim's
// figure).
constexpr Duration kTerminalLimit = 30s;
// How often to look whether a reader has read, of which nothing tells: first as often as the loop
// comes round, for most are waiting for what they get. Then ever more seldom.
constexpr int kReadLooksAtOnce = 8;
constexpr Duration kFirstReadLook = 1ms;
constexpr Duration kSlowestReadLook = 16ms;
// How often finish() looks whether there is still something to wait for.
constexpr Duration kFlowLook = 20ms;

mode_t mode_of(const Fd& file) {
  struct stat status{};
  check(::fstat(file.get(), &status), "stat a stream");
  return status.st_mode;
}
bool is_fifo(const Fd& file) { return S_ISFIFO(mode_of(file)); }
bool is_regular(const Fd& file) { return S_ISREG(mode_of(file)); }

Fd open_end(const std::string& path, int flags) {
  Fd end = try_open(path, flags);
  if (!end) throw_errno("containerd-shim: opening " + path + " failed");
  return end;
}

// Opens once more, in another way, what `file` is, whatever its path leads to by now.
Fd reopen(const Fd& file, const std::string& path, int flags) {
  Fd end = try_open("/proc/self/fd/" + std::to_string(file.get()), flags);
  if (!end) throw_errno("containerd-shim: opening " + path + " failed");
  return end;
}

Pipe make_stream_pipe() { return make_pipe(0, "make a pipe for a stream"); }

void give_to(const ProcessIo::Settings& owner, const Fd& end) {
  if (owner.uid == 0 && owner.gid == 0) return;
  check(::fchown(end.get(), owner.uid, owner.gid), "chown a pipe for the container");
}

}  // namespace

ProcessIo::ProcessIo(Loop& loop, const Streams& streams, const Settings& settings)
    : loop_(loop), settings_(settings) {
  if (!settings_.options.readers) settings_.options.readers = std::make_shared<AbsentReaders>(loop);
  if (!streams.in.empty()) find_stdin(streams.in, streams.terminal);
  if (streams.terminal) {
    console_socket_.emplace(loop, settings.bundle);
    Stream& output = outputs_.emplace_back();
    output.name = "terminal of " + settings.name;
    // A terminal that nobody reads would stop the process.
    output.target = streams.out.empty() ? "/dev/null" : streams.out;
    open_output(output, &LoggerPlan::out);
    return;
  }
  if (input_) {
    Pipe pipe = make_stream_pipe();
    give_to(settings_, pipe.read);
    process_in_ = std::move(pipe.read);
    input_->sink = std::move(pipe.write);
  }
  if (!streams.out.empty())
    process_out_ = make_output_pipe("stdout of " + settings.name, streams.out, &LoggerPlan::out);
  const bool only_logger = streams.err.empty() && !planned_loggers_.empty() &&
                           names_logger(planned_loggers_.front().uri);
  const std::string& err = only_logger ? streams.out : streams.err;
  if (!err.empty())
    process_err_ = make_output_pipe("stderr of " + settings.name, err, &LoggerPlan::err);
}

void ProcessIo::find_stdin(const std::string& uri, bool terminal) {
  std::string path = parse_stream_uri(uri).path;
  Fd place = open_end(path, O_PATH);
  if (!is_fifo(place)) {
    if (terminal) throw Error::invalid_argument("containerd-shim: stdin " + path + " is no fifo");
    process_in_ = reopen(place, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    set_nonblocking(process_in_.get(), false);  // a file or a device needs no pump
    return;
  }
  input_.emplace();
  input_->name = "stdin of " + settings_.name;
  input_->target = path;
  input_->place = std::move(place);
}

void ProcessIo::open_stdin() {
  input_->source = reopen(input_->place, input_->target, O_RDONLY | O_NONBLOCK);
  // Stands for the clients that are away. Opening it cannot fail while there is a reader (fifo(7)).
  if (!stdin_closed_)
    input_->keeps_open = reopen(input_->place, input_->target, O_WRONLY | O_NONBLOCK);
  input_->place.reset();
}

Fd ProcessIo::make_output_pipe(const std::string& name, const std::string& target,
                               Fd LoggerPlan::* end) {
  Stream& output = outputs_.emplace_back();
  output.name = name;
  output.target = target;
  open_output(output, end);
  Pipe pipe = make_stream_pipe();
  give_to(settings_, pipe.write);
  output.source = std::move(pipe.read);
  return std::move(pipe.write);
}

// A fifo's read end is opened first, so that opening the write end neither blocks nor fails.
void ProcessIo::open_output(Stream& output, Fd LoggerPlan::* end) {
  const StreamUri uri = parse_stream_uri(output.target);
  if (names_logger(uri) || uri.scheme == "file") {
    plan_logger(output, uri, end);
    return;
  }
  if (uri.scheme != "fifo") throw Error::unknown("unknown STDIO scheme " + uri.scheme);
  Fd place = open_end(uri.path, O_PATH);
  if (is_fifo(place)) {
    output.keeps_open = reopen(place, uri.path, O_RDONLY | O_NONBLOCK);
    output.sink = reopen(place, uri.path, O_WRONLY | O_NONBLOCK);
  } else if (is_regular(place)) {
    plan_logger(output, {"file", uri.path, {}}, end);
  } else {
    output.sink = reopen(place, uri.path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  }
}

// A file is opened by its process, and so where its name leads to by then.
void ProcessIo::plan_logger(Stream& output, const StreamUri& uri, Fd LoggerPlan::* end) {
  const std::string& target = output.target;
  const auto& allows = settings_.options.allows_logger;
  if (names_logger(uri) && allows && !allows(uri.path))
    throw Error::permission_denied("the logger " + uri.path + " is not among those allowed");
  auto plan = std::ranges::find(planned_loggers_, target, &LoggerPlan::target);
  if (plan == planned_loggers_.end()) plan = planned_loggers_.insert(plan, {target, uri, {}, {}});
  Pipe pipe = make_stream_pipe();
  (*plan).*end = std::move(pipe.read);
  output.sink = std::move(pipe.write);
  output.to_logger = true;
}

Task<> ProcessIo::start_loggers(Event* stop) {
  for (LoggerPlan& plan : planned_loggers_) {
    // A pipe that nobody writes to is at its end.
    if (!plan.out) plan.out = make_stream_pipe().read;
    if (!plan.err) plan.err = make_stream_pipe().read;
    Loggers::Start start{plan.uri, settings_.id, settings_.name, plan.out.get(), plan.err.get()};
    Task<Logger> starting = settings_.loggers->start(std::move(start), stop);
    Logger logger = co_await std::move(starting);
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
    input_->pump.emplace(loop_, input_->source.get(), end_of_process(input_->sink),
                         Pump::BrokenSink::stop, input_->name);
    moving_in_.spawn(move_input(), input_->name);
  }
  for (Stream& output : outputs_) {
    // A logger that is slow keeps no more in its pipe than it does under other shims: some read no
    // further once they hear of the exit (nerdctl, pkg/logging).
    const std::size_t pipe_size = output.to_logger ? 0 : settings_.options.pipe_size;
    output.pump.emplace(loop_, end_of_process(output.source), output.sink.get(),
                        Pump::BrokenSink::drop, output.name, pipe_size);
    moving_out_.spawn(move_output(output), output.name);
  }
  if (exited_) process_exited();
}

// Its pipe, or the terminal.
Pump::End ProcessIo::end_of_process(const Fd& pipe) {
  if (pipe) return pipe.get();
  return {terminal_.get(), &*terminal_watch_};
}

Task<> ProcessIo::attach_terminal() {
  Task<Fd> receiving = console_socket_->receive(kTerminalLimit);
  terminal_ = co_await std::move(receiving);
  console_socket_.reset();
  terminal_peer_ = open_terminal_peer(terminal_.get());
  terminal_watch_.emplace(loop_, terminal_.get());
}

Task<> ProcessIo::move_output(Stream& stream) {
  Task<> moving = stream.pump->run();
  co_await std::move(moving);
  end_output(stream);
}

// Closing the sink tells a client that is there that this was all. One that is away would find
// nothing: opening a fifo to read waits for a writer, so there has to be one when it comes back.
void ProcessIo::end_output(Stream& stream) {
  const bool may_come_back = static_cast<bool>(stream.keeps_open);
  stream.ended = true;
  stream.pump.reset();
  stream.source.reset();
  stream.keeps_open.reset();
  // Of the same fifo it would pass for a reader. Of a logger each stream has a pipe of its own.
  for (Stream& output : outputs_)
    if (!output.to_logger && output.target == stream.target) output.unread.reset();
  const bool is_read = has_reader(stream.sink);
  if (may_come_back && !is_read) {
    absent_readers_.spawn(wait_for_reader(stream), stream.name);
  } else {
    // Without it nobody waits for the reader.
    if ((may_come_back || stream.to_logger) && is_read && bytes_in(stream.sink.get()) > 0)
      stream.unread =
          try_open("/proc/self/fd/" + std::to_string(stream.sink.get()), O_RDONLY | O_NONBLOCK);
    stream.sink.reset();
  }
  end_loggers_without_output();
}

void ProcessIo::end_loggers_without_output() {
  for (RunningLogger& running : loggers_) {
    auto feeds_it = [&](const Stream& output) {
      return !output.ended && output.target == running.target;
    };
    if (std::ranges::none_of(outputs_, feeds_it)) running.logger.output_is_over();
  }
}

Task<> ProcessIo::wait_for_reader(Stream& stream) {
  Task<> waiting = settings_.options.readers->wait_for(stream.sink);
  co_await std::move(waiting);
  stream.sink.reset();
}

Task<> ProcessIo::move_input() {
  Task<> moving = input_->pump->run();
  co_await std::move(moving);
  input_->pump.reset();
  if (terminal_) {
    Task<> ending = end_terminal_input();
    co_await std::move(ending);
  }
  input_.reset();
}

// Waits for room: the process may have much to read still.
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
  moving_out_.cancel();
  moving_out_.spawn(drain_terminal(), "terminal of " + settings_.name);
}

Task<> ProcessIo::drain_terminal() {
  for (Stream& output : outputs_) {
    if (!output.pump) continue;
    Task<> draining = output.pump->run_dry();
    co_await std::move(draining);
    end_output(output);
  }
}

Task<> ProcessIo::wait_for_loggers() {
  for (RunningLogger& running : loggers_) {
    Task<> ending = running.logger.ended();
    co_await std::move(ending);
  }
}

// A reader that is there and output for it; what is held open without a byte in it is not.
bool ProcessIo::output_is_on_its_way() const {
  return std::ranges::any_of(outputs_, [](const Stream& output) {
    return output.pump && has_reader(output.sink) && output.on_its_way() > 0;
  });
}

// What the client or the logger has not read of its fifo or pipe, and what the pump has yet to move
// there. A logger that has gone reads no more.
std::size_t ProcessIo::Stream::unread_bytes() const {
  if (unread) return bytes_in(unread.get());
  if (keeps_open) return bytes_in(keeps_open.get()) + on_its_way();
  return to_logger && sink && has_reader(sink) ? bytes_in(sink.get()) + on_its_way() : 0;
}

std::size_t ProcessIo::unread() const {
  std::size_t count = 0;
  for (const Stream& output : outputs_) count += output.unread_bytes();
  return count;
}

Task<> ProcessIo::wait_read(Duration quiet, Duration limit, Event& enough) {
  // Counted in pauses, so that a shim that was not let run takes that for nobody's silence.
  Duration waited{}, unchanged{};
  Duration pause{};
  int looks = 0;
  for (std::size_t before = unread(); before > 0 && !enough.is_set();) {
    if (unchanged >= quiet || waited >= limit) break;
    co_await TimedWait(loop_, enough, pause);
    waited += pause;
    const std::size_t now = unread();
    unchanged = now == before ? unchanged + pause : Duration{};
    before = now;
    if (++looks >= kReadLooksAtOnce)
      pause = std::clamp(2 * pause, kFirstReadLook, kSlowestReadLook);
  }
  for (Stream& output : outputs_) output.unread.reset();
}

void ProcessIo::report_what_is_cut_off() const {
  for (const Stream& output : outputs_) {
    if (!output.pump) continue;
    const std::size_t lost = output.on_its_way();
    if (lost > 0)
      log::warning("output was cut off: it was not read in time",
                   {{"stream", output.name}, {"bytes", std::to_string(lost)}});
    else
      log::warning("output was cut off: something still holds it open", {{"stream", output.name}});
  }
}

Task<> ProcessIo::finish(Duration limit, Duration while_it_flows) {
  const std::uint64_t begin = loop_.now();
  Task<> ending = moving_out_.wait_empty();
  bool ended = co_await within(loop_, limit, std::move(ending));
  // They would pass for readers.
  for (Stream& output : outputs_) output.keeps_open.reset();
  while (!ended && Duration(loop_.now() - begin) < while_it_flows && output_is_on_its_way()) {
    Task<> flowing = moving_out_.wait_empty();
    ended = co_await within(loop_, kFlowLook, std::move(flowing));
  }
  if (!ended) report_what_is_cut_off();
  moving_in_.cancel();
  moving_out_.cancel();
  absent_readers_.cancel();
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
