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

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// How long an exit may take to arrive behind the end of the process's descriptors.
constexpr Duration kExitLimit = 1s;
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

// Whether a byte came before the end.
Task<bool> read_ready(Loop& loop, int fd) {
  Watch watch(loop, fd);
  for (;;) {
    char byte;
    ssize_t n = ::read(fd, &byte, 1);
    if (n >= 0) co_return n > 0;
    if (errno != EAGAIN && errno != EINTR) throw_errno("read from a logger");
    if (errno == EAGAIN) co_await watch.readable();
  }
}

void send(Child& child, int signal) {
  if (!child.exited()) child.signal(signal);
}

Task<> kill_at(Event& stop, Child& child) {
  co_await stop.wait();
  send(child, SIGKILL);
}

}  // namespace

bool names_logger(const StreamUri& uri) {
  return uri.scheme == "binary" || uri.scheme == "binary-v2";
}

struct Logger::State {
  State(Child process_of_it, const Loggers::Start& start)
      : child(std::move(process_of_it)), path(start.uri.path), process(start.process) {}
  Child child;
  std::string path;
  std::string process;
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
  command.program = start.uri.path;
  command.arguments = arguments_of(start.uri);
  command.environment = {"CONTAINER_ID=" + start.id,
                         "CONTAINER_NAMESPACE=" + containerd_namespace_};
  command.fds = {-1, -1, -1, start.out, start.err, ready.get()};
  try {
    Logger logger(*this, std::make_shared<Logger::State>(reaper_.start(command), start));
    watching_.spawn(watch(logger.state_), "watch the logger " + start.uri.path);
    return logger;
  } catch (const Error& error) {
    throw error.in("failed to start the logger");
  }
}

Task<Logger> Loggers::start(Start start, Event* stop) {
  Pipe ready = make_pipe();
  set_nonblocking(ready.read.get(), true);
  Logger logger = launch(start, std::move(ready.write));
  Logger::State& state = *logger.state_;
  TaskSet stopping;
  if (stop) stopping.spawn(kill_at(*stop, state.child), "stop the logger " + state.path);
  std::optional<bool> called =
      co_await within(reaper_.loop(), limits_.ready, read_ready(reaper_.loop(), ready.read.get()));
  const bool stopped = stop && stop->is_set();
  if (called && !stopped && (*called || start.uri.scheme == "binary")) {
    state.ready = true;
    co_return logger;
  }
  // Its descriptors are closed; why, its exit tells.
  if (called) co_await TimedWait(reaper_.loop(), state.ended, kExitLimit);
  std::string reason = !called ? "took too long" : "closed its descriptor 5";
  if (state.child.exited())
    reason = "ended with status " + std::to_string(state.child.exit().status);
  if (stopped) reason = "was given up";
  send(state.child, SIGKILL);
  throw Error::unknown("the logger " + state.path + " did not call ready: it " + reason);
}

Task<> Loggers::watch(std::shared_ptr<Logger::State> logger) {
  co_await logger->child.wait();
  const std::string status = std::to_string(logger->child.exit().status);
  if (logger->ready && !logger->output_over)
    log::warning("a logger ended before the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"status", status}});
  logger->ended.set();
}

Task<> Loggers::see_to_end(std::shared_ptr<Logger::State> logger) {
  Duration limit = limits_.flush;
  for (const auto& signal : kLastSignals) {
    bool ended = co_await TimedWait(reaper_.loop(), logger->ended, limit);
    if (ended) co_return;
    log::warning("a logger goes on after the end of the output",
                 {{"logger", logger->path}, {"process", logger->process}, {"sent", signal.name}});
    send(logger->child, signal.number);
    limit = limits_.killed;
  }
  bool ended = co_await TimedWait(reaper_.loop(), logger->ended, limit);
  if (!ended) log::error("a logger cannot be killed", {{"logger", logger->path}});
}

}  // namespace thinshim
