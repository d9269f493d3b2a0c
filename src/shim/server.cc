// SPDX-License-Identifier: Apache-2.0
#include "shim/server.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "process/open_files.h"
#include "shim/address.h"
#include "shim/config.h"
#include "shim/config_file.h"
#include "shim/options.h"
#include "shim/plugin.h"
#include "shim/publisher.h"
#include "shim/report.h"
#include "shim/shutdown.h"
#include "task/service.h"
#include "ttrpc/server.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// The type of the plugins that serve something.
constexpr const char* kServing = "io.containerd.ttrpc.v1";

std::size_t count_descriptors() {
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir("/proc/self/fd"), &::closedir);
  std::size_t count = 0;
  while (open && ::readdir(open.get())) ++count;
  return count > 3 ? count - 3 : 0;  // ".", "..", and the directory itself
}

// How often the lock is asked for, every 10 ms: no action has it for long.
constexpr int kTriesToLeave = 100;
// In which the request of the last peer that was accepted is read; and no more than these.
constexpr int kRoundsToRead = 4;
constexpr int kMostRounds = 1000;

// What the server is made of. It goes from the bottom up: first the calls that are being served,
// then the service that they run in, then what that stands on.
class Parts {
 public:
  Parts(const Arguments& arguments, const Config& config, const SocketFile& socket)
      : arguments_(arguments), config_(config), socket_(socket), server_(loop_) {}

  SkipReason make_shutdown();
  SkipReason make_publisher();
  SkipReason make_task();
  void run(Fd listener);

 private:
  std::string describe() const;
  Task<TaskService::Options> read_options(wire::Any request, std::shared_ptr<Event> stop);
  Task<> serve(Fd listener);
  void begin_to_leave();
  Task<> end_forgotten_shim();
  Task<std::optional<SocketLock>> lock_socket();
  Task<> leave(std::function<bool()> may_leave);
  Task<> publish_exits();
  Task<> remove_socket();

  const Arguments& arguments_;
  const Config& config_;
  const SocketFile& socket_;
  Loop loop_;
  Reporter reporter_{loop_, [this] { return describe(); }};
  std::optional<Shutdown> shutdown_;
  std::optional<Publisher> publisher_;
  std::optional<Reaper> reaper_;
  std::optional<TaskService> task_;
  Server server_;
  TaskSet serving_;
  TaskSet forgetting_;
  TaskSet leaving_;
};

SkipReason Parts::make_shutdown() {
  shutdown_.emplace(loop_, [this] { reporter_.ask(); });
  return std::nullopt;
}

SkipReason Parts::make_publisher() {
  publisher_.emplace(loop_,
                     Publisher::Settings{arguments_.ttrpc_address, arguments_.containerd_namespace,
                                         config_.publisher.max_queued});
  shutdown_->at_end("deliver the last events", [this] { return publisher_->drain(5s); });
  return std::nullopt;
}

SkipReason Parts::make_task() {
  reaper_.emplace(loop_);
  TaskService::Settings settings;
  settings.containerd_namespace = arguments_.containerd_namespace;
  settings.address = address_of_path(socket_.path());
  settings.first_bundle = working_directory();
  settings.read_options = [this](wire::Any request, std::shared_ptr<Event> stop) {
    return read_options(std::move(request), std::move(stop));
  };
  settings.lifetime.idle_timeout = config_.task.idle_timeout;
  settings.lifetime.end = [this] { begin_to_leave(); };
  settings.on_create = [this] { leaving_.cancel(); };     // the service has deadlines of its own
  settings.deletion += config_.task.stdio.drain_timeout;  // for output, before the unmounting
  task_.emplace(*reaper_, *publisher_, std::move(settings));
  task_->serve(server_);
  shutdown_->at_end("let loggers finish", [this] { return task_->loggers_finished(); });
  return std::nullopt;
}

Task<TaskService::Options> Parts::read_options(wire::Any request, std::shared_ptr<Event> stop) {
  std::string path = config_path_of(request);
  if (path.empty()) co_return task_options(resolve_options(request, config_));
  Task<Config> loading = load_config_beside(*reaper_, std::move(path), stop.get());
  const Config config = co_await std::move(loading);
  co_return task_options(resolve_options(request, config));
}

// What the shim knows, as JSON. Ids need no quoting (base/identifier.h).
std::string Parts::describe() const {
  std::string json = R"({"pid":)" + std::to_string(::getpid()) + R"(,"namespace":")" +
                     arguments_.containerd_namespace + R"(","containers":)" +
                     (task_ ? task_->describe() : "[]");
  const std::pair<const char*, std::size_t> figures[] = {
      {"being_created", task_ ? task_->being_created() : 0},
      {"clients", server_.connections()},
      {"requests_in_flight", server_.requests_in_flight()},
      {"unsent_bytes", server_.buffered()},
      {"queued_events", publisher_ ? publisher_->queued() : 0},
      {"descriptors", count_descriptors()}};
  for (const auto& [name, figure] : figures)
    json += std::string(",\"") + name + "\":" + std::to_string(figure);
  return json + "}";
}

void Parts::run(Fd listener) {
  shutdown_->at_end("let the last answers out", [this] { return server_.drain(1s); });
  // Some wait for their output to be read, or for a verb that hangs.
  shutdown_->at_end("publish the exits of the dead", [this] { return publish_exits(); });
  // While clients can still see that it is not over: containerd cleans up as soon as it is.
  shutdown_->at_end("undo what nobody waits for", [this] { return task_->creates_finished(); });
  shutdown_->at_end("remove the socket", [this] { return remove_socket(); });
  serving_.spawn(serve(std::move(listener)), "serve");
  server_.when_alone([this] {
    forgetting_.cancel();
    forgetting_.spawn(end_forgotten_shim(), "end of a forgotten shim");
  });
  loop_.run(shutdown_->run());
}

// A shim that cannot be reached any more is of no use: its end tells containerd, which cleans up.
Task<> Parts::serve(Fd listener) {
  try {
    Task<> serving = server_.serve(std::move(listener));
    co_await std::move(serving);
  } catch (const std::exception&) {
    shutdown_->ask();
    throw;
  }
}

void Parts::begin_to_leave() {
  if (leaving_.empty()) leaving_.spawn(leave([this] { return task_->has_no_work(); }), "leave");
}

// Nothing where there is none to be had: where it is held for too long, or nobody can be sent here
// any more.
Task<std::optional<SocketLock>> Parts::lock_socket() {
  for (int tries = 0; tries < kTriesToLeave && !socket_.is_gone(); ++tries) {
    try {
      co_return SocketLock(socket_.path(), 0ms);
    } catch (const Error& error) {
      if (error.code() != Code::deadline_exceeded) break;
    }
    co_await sleep(loop_, 10ms);
  }
  co_return std::nullopt;
}

// Whoever has the socket's lock may be sending a container here, which is told before the lock is
// let go. So with the lock in hand, and all read that has come by then, either nobody comes, or
// the socket is gone before the next one looks.
Task<> Parts::leave(std::function<bool()> may_leave) {
  Task<std::optional<SocketLock>> locking = lock_socket();
  std::optional<SocketLock> lock = co_await std::move(locking);
  for (int quiet = 0, round = 0; quiet < kRoundsToRead && round < kMostRounds; ++round) {
    co_await yield(loop_);
    quiet = server_.is_called() ? 0 : quiet + 1;
  }
  if (!may_leave()) co_return;
  socket_.remove_locked();
  shutdown_->ask();
}

// A client that went while its container was made never heard of it; containerd then cleans up by
// `delete` and the bundle's removal, and asks this shim for nothing any more. Its containers may
// end later.
Task<> Parts::end_forgotten_shim() {
  const auto is_forgotten = [this] { return server_.connections() == 0 && task_->is_forgotten(); };
  do {
    co_await sleep(loop_, config_.task.idle_timeout);
    if (server_.connections() != 0) co_return;
  } while (!is_forgotten());
  log::info("nobody knows of the containers any more");
  if (leaving_.empty()) leaving_.spawn(leave(is_forgotten), "leave");
}

Task<> Parts::publish_exits() {
  task_->publish_exits();
  co_return;
}

// First of all at the end, so that no new container is sent to a shim that is about to go.
Task<> Parts::remove_socket() {
  socket_.remove();
  co_return;
}

// Every plugin there is. `parts` may be null where none is to be started.
std::vector<Plugin> plugins(Parts* parts) {
  return {
      {"io.containerd.internal.v1", "shutdown", {}, [parts] { return parts->make_shutdown(); }},
      {"io.containerd.event.v1",
       "publisher",
       {"io.containerd.internal.v1"},
       [parts] { return parts->make_publisher(); }},
      {kServing,
       "task",
       {"io.containerd.event.v1", "io.containerd.internal.v1"},
       [parts] { return parts->make_task(); }},
  };
}

Fd open_listener(const Arguments& arguments) {
  if (!arguments.socket.empty()) {
    SocketLock lock(arguments.socket);
    Fd listener = bind_socket(arguments.socket);
    check(::listen(listener.get(), SOMAXCONN), "listen");
    return listener;
  }
  int listening = 0;
  socklen_t size = sizeof listening;
  if (::getsockopt(kListenerFd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening)
    throw Error::invalid_argument("no listening socket on descriptor 3, and no -socket");
  ::fcntl(kListenerFd, F_SETFD, FD_CLOEXEC);
  return Fd(kListenerFd);
}

// Lines go to the bundle's fifo. It is opened for reading too, so that opening never fails for want
// of a reader and lines wait there while containerd is away.
void open_log() {
  Fd fifo = try_open("log", O_RDWR | O_NONBLOCK | O_NOFOLLOW);
  struct stat status{};
  if (!fifo || ::fstat(fifo.get(), &status) < 0 || !S_ISFIFO(status.st_mode)) return;
  ::dup2(fifo.get(), STDERR_FILENO);  // for what the libraries have to say at their end
  log::set_sink(std::move(fifo));
}

void serve_on(Fd& listener, const SocketFile& socket, const Arguments& arguments) {
  const Config config = load_config("", arguments.config_file);
  log::set_level(arguments.debug ? log::Level::debug : config.log_level);
  check_plugins(config.disabled_plugins);
  Parts parts(arguments, config, socket);
  load_plugins(plugins(&parts), config.disabled_plugins);
  parts.run(std::move(listener));
}

}  // namespace

void check_plugins(const std::vector<std::string>& disabled) {
  try {
    const std::vector<std::string> order = plugin_order(plugins(nullptr), disabled);
    if (std::ranges::none_of(order, [](const auto& uri) { return uri.starts_with(kServing); }))
      throw Error::failed_precondition("no plugin serves anything");
  } catch (const Error& error) {
    throw error.in("disabled_plugins");
  }
}

void serve(const Arguments& arguments) {
  // Two megabytes at a time are too much for a shim (rust-extensions 195).
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  raise_open_files_limit();
  open_log();
  Fd listener = open_listener(arguments);
  const SocketFile socket(listener);
  try {
    serve_on(listener, socket, arguments);
  } catch (...) {
    socket.remove();
    throw;
  }
}

}  // namespace thinshim
