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

// The type of plugins that are services.
constexpr const char* kServiceType = "io.containerd.ttrpc.v1";

std::size_t count_descriptors() {
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir("/proc/self/fd"), &::closedir);
  std::size_t count = 0;
  while (open && ::readdir(open.get())) ++count;
  return count > 3 ? count - 3 : 0;  // ".", "..", and the directory itself
}

// How often to try for the socket's lock, every 10 ms.
constexpr int kLockTries = 100;
// Rounds of the loop without a pending peer after which the requests of all accepted peers have
// been read, and the limit of all rounds.
constexpr int kQuietRounds = 4;
constexpr int kMaxRounds = 1000;

// The components of the server. They are destroyed in reverse order: first the calls in flight,
// then the service, then what it uses.
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
  void start_exit();
  Task<> exit_when_forgotten();
  Task<std::optional<SocketLock>> lock_socket();
  Task<> exit_if(std::function<bool()> is_unused);
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
  TaskSet watching_;  // exit_when_forgotten()
  TaskSet exiting_;   // exit_if()
};

SkipReason Parts::make_shutdown() {
  shutdown_.emplace(loop_, [this] { reporter_.request(); });
  return std::nullopt;
}

SkipReason Parts::make_publisher() {
  publisher_.emplace(loop_,
                     Publisher::Settings{arguments_.ttrpc_address, arguments_.containerd_namespace,
                                         config_.publisher.max_queued});
  shutdown_->on_shutdown("deliver the last events", [this] { return publisher_->drain(5s); });
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
  settings.lifetime.end = [this] { start_exit(); };
  settings.on_create = [this] { exiting_.cancel(); };     // the lifetime has new deadlines
  settings.deletion += config_.task.stdio.drain_timeout;  // for output, before the unmounting
  task_.emplace(*reaper_, *publisher_, std::move(settings));
  task_->serve(server_);
  shutdown_->on_shutdown("wait for loggers", [this] { return task_->loggers_finished(); });
  return std::nullopt;
}

Task<TaskService::Options> Parts::read_options(wire::Any request, std::shared_ptr<Event> stop) {
  std::string path = config_path_of(request);
  if (path.empty()) co_return task_options(resolve_options(request, config_));
  const Config config = co_await load_config_in_fork(*reaper_, std::move(path), stop.get());
  co_return task_options(resolve_options(request, config));
}

// The shim's state, as JSON. Ids need no escaping (base/identifier.h).
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
  shutdown_->on_shutdown("send the last responses", [this] { return server_.drain(1s); });
  // An exit may still wait for a client to read the output, or for a call of the runtime that
  // hangs.
  shutdown_->on_shutdown("publish pending exits", [this] { return publish_exits(); });
  // While clients are still connected: containerd cleans up as soon as the connection is closed.
  shutdown_->on_shutdown("undo cancelled creates", [this] { return task_->creates_finished(); });
  // First, so that `start` sends no new container to this shim.
  shutdown_->on_shutdown("remove the socket", [this] { return remove_socket(); });
  serving_.spawn(serve(std::move(listener)), "serve");
  server_.on_last_disconnect([this] {
    watching_.cancel();
    watching_.spawn(exit_when_forgotten(), "exit when forgotten");
  });
  loop_.run(shutdown_->run());
}

// If the listener fails, the shim exits: containerd notices that, and cleans up.
Task<> Parts::serve(Fd listener) {
  try {
    co_await server_.serve(std::move(listener));
  } catch (const std::exception&) {
    shutdown_->request();
    throw;
  }
}

void Parts::start_exit() {
  if (exiting_.empty()) exiting_.spawn(exit_if([this] { return task_->has_no_work(); }), "exit");
}

// Nothing if another process holds the lock for too long, or the socket's file is gone: then no
// `start` can send a container here.
Task<std::optional<SocketLock>> Parts::lock_socket() {
  for (int tries = 0; tries < kLockTries && !socket_.is_gone(); ++tries) {
    try {
      co_return SocketLock(socket_.path(), 0ms);
    } catch (const Error& error) {
      if (error.code() != Code::deadline_exceeded) break;
    }
    co_await sleep(loop_, 10ms);
  }
  co_return std::nullopt;
}

// Exits if the shim is unused. A `start` that finds this shim announces its container before it
// releases the socket's lock. So this takes the lock and reads all pending requests; then either a
// container was announced, or the socket is removed before the next `start` looks for it.
Task<> Parts::exit_if(std::function<bool()> is_unused) {
  std::optional<SocketLock> lock = co_await lock_socket();
  for (int quiet = 0, round = 0; quiet < kQuietRounds && round < kMaxRounds; ++round) {
    co_await yield(loop_);
    quiet = server_.has_pending_peer() ? 0 : quiet + 1;
  }
  if (!is_unused()) co_return;
  socket_.remove_locked();
  shutdown_->request();
}

// Exits once all clients have disconnected, all containers have exited, and their bundles are
// removed. If a client disconnects during Create, containerd never learns of the container: it runs
// `delete`, removes the bundle, and calls this shim no more. The containers may exit later.
Task<> Parts::exit_when_forgotten() {
  const auto is_forgotten = [this] { return server_.connections() == 0 && task_->is_forgotten(); };
  do {
    co_await sleep(loop_, config_.task.idle_timeout);
    if (server_.connections() != 0) co_return;
  } while (!is_forgotten());
  log::info("exiting: all containers have exited, and their bundles are removed");
  if (exiting_.empty()) exiting_.spawn(exit_if(is_forgotten), "exit");
}

Task<> Parts::publish_exits() {
  task_->publish_exits();
  co_return;
}

Task<> Parts::remove_socket() {
  socket_.remove();
  co_return;
}

// All plugins. `parts` may be null if none is started.
std::vector<Plugin> plugins(Parts* parts) {
  return {
      {"io.containerd.internal.v1", "shutdown", {}, [parts] { return parts->make_shutdown(); }},
      {"io.containerd.event.v1",
       "publisher",
       {"io.containerd.internal.v1"},
       [parts] { return parts->make_publisher(); }},
      {kServiceType,
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
    throw Error::invalid_argument("descriptor 3 is not a listening socket, and no -socket given");
  ::fcntl(kListenerFd, F_SETFD, FD_CLOEXEC);
  return Fd(kListenerFd);
}

// The log goes to the bundle's fifo. It is opened for reading too, so that open(2) succeeds without
// a reader, and lines stay in it while containerd is away.
void open_log() {
  Fd fifo = try_open("log", O_RDWR | O_NONBLOCK | O_NOFOLLOW);
  struct stat status{};
  if (!fifo || ::fstat(fifo.get(), &status) < 0 || !S_ISFIFO(status.st_mode)) return;
  ::dup2(fifo.get(), STDERR_FILENO);  // libraries write there before they abort
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
    if (std::ranges::none_of(order, [](const auto& uri) { return uri.starts_with(kServiceType); }))
      throw Error::failed_precondition("no service plugin is enabled");
  } catch (const Error& error) {
    throw error.in("disabled_plugins");
  }
}

void serve(const Arguments& arguments) {
  // Huge pages of 2 MiB would multiply the shim's memory (rust-extensions 195).
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
