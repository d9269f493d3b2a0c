// SPDX-License-Identifier: Apache-2.0
#include "stdio/logger.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "process/command.h"
#include "stdio/log_file.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// The kernel closes a process's descriptors before it reports the exit: how much later at most.
constexpr Duration kExitLimit = 1s;
constexpr struct {
  int number;
  const char* name;
} kTerminationSignals[] = {{SIGTERM, "SIGTERM"}, {SIGKILL, "SIGKILL"}};

std::vector<std::string> arguments_of(const StreamUri& uri) {
  std::vector<std::string> keys, arguments;
  for (const auto& [key, value] : uri.query) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    keys.push_back(key);
    arguments.push_back(key);
    arguments.push_back(value);
  }
  return arguments;
}

bool is_file(const StreamUri& uri) { return uri.scheme == "file"; }

const char* start_failed(const StreamUri& uri) {
  return is_file(uri) ? "failed to start thinshim-log" : "failed to start binary process";
}

// Reads the answer on descriptor 5: one byte or end of file; with `text`, an error text or a zero
// byte.
Task<> read_answer(Watch& watch, int fd, bool text, std::string& answer, Event& answered) {
  for (;;) {
    char byte = 0;
    ssize_t n = ::read(fd, &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      co_await watch.readable();
      continue;
    }
    if (n > 0) answer += byte;
    if (n <= 0 || !text || byte == '\0') break;
  }
  answered.set();
}

bool is_ready(const StreamUri& uri, const std::string& answer) {
  if (is_file(uri)) return answer == std::string(1, '\0');
  return uri.scheme == "binary" || !answer.empty();
}

// Does not throw: the termination goes on if the kernel refuses a signal (a security module may).
void send(const Child& child, int signal) {
  try {
    if (!child.exited()) child.signal(signal);
  } catch (const Error& error) {
    log::error("failed to signal a logger", {{"error", error.what()}});
  }
}

}  // namespace

bool is_binary_logger(const StreamUri& uri) {
  return uri.scheme == "binary" || uri.scheme == "binary-v2";
}

struct Logger::State {
  State(Child started, const Loggers::Start& start)
      : child(std::move(started)),
        path(start.uri.path),
        process(start.process),
        is_file(thinshim::is_file(start.uri)) {}
  // Logs the reports in the pipe. False at end of file.
  bool log_reports() const;

  Child child;
  std::string path;
  std::string process;
  bool is_file;
  Fd reports;  // of a log file process
  bool ready = false;
  bool output_ended = false;
  Event exited;
};

Logger::Logger(Loggers& owner, std::shared_ptr<State> state)
    : owner_(&owner), state_(std::move(state)) {}

void Logger::end_output() {
  if (!state_ || std::exchange(state_->output_ended, true)) return;
  owner_->finishing_.spawn(owner_->terminate(state_), "terminate the logger " + state_->path);
}

Task<> Logger::wait_exit() { co_await state_->exited.wait(); }

Loggers::Loggers(Reaper& reaper, std::string containerd_namespace)
    : Loggers(reaper, std::move(containerd_namespace), Limits()) {}

Loggers::Loggers(Reaper& reaper, std::string containerd_namespace, Limits limits)
    : reaper_(reaper), containerd_namespace_(std::move(containerd_namespace)), limits_(limits) {}

Logger Loggers::launch(const Start& start, Fd ready) {
  Command command;
  if (is_file(start.uri)) {
    command = log_file_command(start.uri.path);
  } else {
    command.program = start.uri.path;
    command.arguments = arguments_of(start.uri);
    command.environment = {"CONTAINER_ID=" + start.id,
                           "CONTAINER_NAMESPACE=" + containerd_namespace_};
  }
  command.fds = {-1, -1, -1, start.out, start.err, ready.get()};
  try {
    Logger logger(*this, std::make_shared<Logger::State>(reaper_.start(std::move(command)), start));
    watching_.spawn(watch(logger.state_), "watch the logger " + start.uri.path);
    return logger;
  } catch (const Error& error) {
    throw error.in(start_failed(start.uri));
  }
}

Task<Logger> Loggers::start(Start start, Event* stop) {
  Pipe ready = make_pipe(0, "failed to start logger: pipe2");
  set_nonblocking(ready.read.get(), true);
  std::optional<Watch> watch;
  watch.emplace(reaper_.loop(), ready.read.get());
  Logger logger = launch(start, std::move(ready.write));
  Logger::State& state = *logger.state_;
  std::string answer;
  Event settled;
  TaskSet settling;
  settling.spawn(read_answer(*watch, ready.read.get(), state.is_file, answer, settled),
                 "wait for the logger " + state.path);
  if (stop) settling.spawn(propagate(*stop, settled), "stop the logger " + state.path);
  const bool in_time = co_await TimedWait(reaper_.loop(), settled, limits_.ready);
  settling.cancel();
  watch.reset();
  const bool stopped = stop && stop->is_set();
  const bool answered = in_time && !stopped;
  try {
    state.child.check_started();
  } catch (const Error& error) {
    throw error.in(start_failed(start.uri));
  }
  if (answered && is_ready(start.uri, answer)) {
    state.ready = true;
    if (state.is_file) {
      state.reports = std::move(ready.read);
      watching_.spawn(read_reports(logger.state_), "read the reports of " + state.path);
    }
    co_return logger;
  }
  if (answered && state.is_file && !answer.empty()) throw Error::unknown(answer);
  // Descriptor 5 is closed, probably because the process exits.
  if (answered) co_await TimedWait(reaper_.loop(), state.exited, kExitLimit);
  const std::string subject = state.is_file ? "thinshim-log " : "it ";
  std::string reason = answered ? subject + "closed descriptor 5 without writing to it"
                                : "timed out after " + duration_text(limits_.ready);
  if (state.child.exited())
    reason = subject + "exited with status " + std::to_string(state.child.exit().status);
  if (stopped) reason = "cancelled";
  send(state.child, SIGKILL);
  throw Error::unknown((state.is_file ? "open " + state.path + ": "
                                      : "the logger " + state.path + " did not call ready: ") +
                       reason);
}

Task<> Loggers::watch(std::shared_ptr<Logger::State> logger) {
  co_await logger->child.wait();
  const std::string status = std::to_string(logger->child.exit().status);
  if (logger->ready && !logger->output_ended)
    log::warning("logger exited before the end of the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"status", status}});
  if (logger->reports) logger->log_reports();
  logger->exited.set();
}

Task<> Loggers::read_reports(std::shared_ptr<Logger::State> logger) {
  Watch reports(reaper_.loop(), logger->reports.get());
  while (logger->log_reports()) co_await reports.readable();
}

bool Logger::State::log_reports() const {
  for (;;) {
    LogFileReport report;
    ssize_t n = ::read(reports.get(), &report, sizeof report);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof report) return n < 0 && errno == EAGAIN;
    const std::string stream = (report.stream == 3 ? "stdout of " : "stderr of ") + process;
    if (report.errnum != 0)
      log::warning("output is dropped",
                   {{"stream", stream}, {"file", path}, {"error", errno_text(report.errnum)}});
    else
      log::warning("output was lost",
                   {{"stream", stream}, {"file", path}, {"bytes", std::to_string(report.lost)}});
  }
}

Task<> Loggers::terminate(std::shared_ptr<Logger::State> logger) {
  Duration limit = limits_.flush;
  const char* sent = "";
  for (const auto& signal : kTerminationSignals) {
    if (signal.number == SIGKILL && logger->is_file && logger->ready) break;
    bool exited = co_await TimedWait(reaper_.loop(), logger->exited, limit);
    if (exited) co_return;
    log::warning("logger did not exit after the end of the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"sent", signal.name}});
    send(logger->child, signal.number);
    sent = signal.name;
    limit = limits_.killed;
  }
  bool exited = co_await TimedWait(reaper_.loop(), logger->exited, limit);
  if (!exited)
    log::error(std::string("logger did not exit after ") + sent, {{"logger", logger->path}});
}

}  // namespace thinshim
