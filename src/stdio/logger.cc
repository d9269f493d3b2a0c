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

// How long an exit may take to arrive behind the end of the process's descriptors.
constexpr Duration kExitLimit = 1s;
constexpr const char* kStartFailed = "failed to start the logger";
// What a logger gets that does not end by itself.
constexpr struct {
  int number;
  const char* name;
} kLastSignals[] = {{SIGTERM, "SIGTERM"}, {SIGKILL, "SIGKILL"}};

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

// Reads into `answer` what comes on descriptor 5: a byte, or nothing before the end; a whole text
// where a file has one to tell.
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

bool says_ready(const StreamUri& uri, const std::string& answer) {
  if (is_file(uri)) return answer == std::string(1, '\0');
  return uri.scheme == "binary" || !answer.empty();
}

// A logger is seen to its end also where the kernel refuses a signal (a security module may).
void send(const Child& child, int signal) {
  try {
    if (!child.exited()) child.signal(signal);
  } catch (const Error& error) {
    log::error("failed to signal a logger", {{"error", error.what()}});
  }
}

}  // namespace

bool names_logger(const StreamUri& uri) {
  return uri.scheme == "binary" || uri.scheme == "binary-v2";
}

struct Logger::State {
  State(Child process_of_it, const Loggers::Start& start)
      : child(std::move(process_of_it)),
        path(start.uri.path),
        process(start.process),
        is_file(thinshim::is_file(start.uri)) {}
  bool pass_on_reports() const;

  Child child;
  std::string path;
  std::string process;
  bool is_file;
  Fd reports;  // of a file
  bool ready = false;
  bool output_over = false;
  Event ended;
};

Logger::Logger(Loggers& owner, std::shared_ptr<State> state)
    : owner_(&owner), state_(std::move(state)) {}

void Logger::output_is_over() {
  if (!state_ || std::exchange(state_->output_over, true)) return;
  owner_->finishing_.spawn(owner_->see_to_end(state_), "end the logger " + state_->path);
}

Task<> Logger::ended() { co_await state_->ended.wait(); }

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
    Logger logger(*this, std::make_shared<Logger::State>(reaper_.start(command), start));
    watching_.spawn(watch(logger.state_), "watch the logger " + start.uri.path);
    return logger;
  } catch (const Error& error) {
    throw error.in(kStartFailed);
  }
}

Task<Logger> Loggers::start(Start start, Event* stop) {
  Pipe ready = make_pipe(0, "failed to start the logger: make pipe");
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
    throw error.in(kStartFailed);
  }
  if (answered && says_ready(start.uri, answer)) {
    state.ready = true;
    if (state.is_file) {
      state.reports = std::move(ready.read);
      watching_.spawn(hear_reports(logger.state_), "hear of the file " + state.path);
    }
    co_return logger;
  }
  if (answered && state.is_file && !answer.empty()) throw Error::unknown(answer);
  // Its descriptors are closed; why, its exit tells.
  if (answered) co_await TimedWait(reaper_.loop(), state.ended, kExitLimit);
  std::string reason = answered ? "closed its descriptor 5" : "took too long";
  if (state.child.exited())
    reason = "ended with status " + std::to_string(state.child.exit().status);
  if (stopped) reason = "was given up";
  send(state.child, SIGKILL);
  throw Error::unknown((state.is_file ? "open " + state.path + ": it "
                                      : "the logger " + state.path + " did not call ready: it ") +
                       reason);
}

Task<> Loggers::watch(std::shared_ptr<Logger::State> logger) {
  co_await logger->child.wait();
  const std::string status = std::to_string(logger->child.exit().status);
  if (logger->ready && !logger->output_over)
    log::warning("a logger ended before the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"status", status}});
  if (logger->reports) logger->pass_on_reports();
  logger->ended.set();
}

Task<> Loggers::hear_reports(std::shared_ptr<Logger::State> logger) {
  Watch reports(reaper_.loop(), logger->reports.get());
  while (logger->pass_on_reports()) co_await reports.readable();
}

// False at the end.
bool Logger::State::pass_on_reports() const {
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

Task<> Loggers::see_to_end(std::shared_ptr<Logger::State> logger) {
  Duration limit = limits_.flush;
  for (const auto& signal : kLastSignals) {
    if (signal.number == SIGKILL && logger->is_file && logger->ready) break;
    bool ended = co_await TimedWait(reaper_.loop(), logger->ended, limit);
    if (ended) co_return;
    log::warning("a logger goes on after the end of the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"sent", signal.name}});
    send(logger->child, signal.number);
    limit = limits_.killed;
  }
  bool ended = co_await TimedWait(reaper_.loop(), logger->ended, limit);
  if (!ended) log::error("a logger does not end", {{"logger", logger->path}});
}

}  // namespace thinshim
