// SPDX-License-Identifier: Apache-2.0
// containerd-shim-runc-v2: picks the action, and names every plugin of the server.
#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "shim/address.h"
#include "shim/arguments.h"
#include "shim/config.h"
#include "shim/options.h"
#include "shim/plugin.h"
#include "shim/publisher.h"
#include "shim/remove.h"
#include "shim/shutdown.h"
#include "shim/start.h"
#include "task/service.h"
#include "ttrpc/server.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// As many bytes as the stock shim reads.
constexpr std::size_t kMaxInput = 10 << 20;
constexpr int kListenerFd = 3;

// What is opened later must not stand in for a standard descriptor that the caller has closed.
// Writing to one of them fails.
void hold_standard_descriptors() {
  for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(standard, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
}

void print(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    ssize_t n = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("write the answer");
    done += static_cast<std::size_t>(n);
  }
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

// First of all at the end, so that no new container is sent to a shim that is about to go.
Task<> remove_socket(SocketFile socket) {
  socket.remove();
  co_return;
}

// Lines go to the bundle's fifo. It is opened for reading too, so that opening never fails for want
// of a reader and lines wait there while containerd is away.
void open_log() {
  Fd fifo = try_open("log", O_RDWR | O_NONBLOCK);
  if (!fifo) return;
  ::dup2(fifo.get(), STDERR_FILENO);  // for what the libraries have to say at their end
  log::set_sink(std::move(fifo));
}

// The parts of the server, in the order in which they need each other; they go in reverse.
struct Parts {
  Loop loop;
  std::optional<Shutdown> shutdown;
  std::optional<Publisher> publisher;
  std::optional<Reaper> reaper;
  std::optional<TaskService> task;
  std::optional<Server> server;
  TaskSet serving;
};

void serve(const Arguments& arguments) {
  ::prctl(PR_SET_THP_DISABLE, 1, 0, 0,
          0);  // two megabytes at a time are too much for a shim (rust-extensions 195)
  open_log();
  const Config config = load_config("", arguments.config_file);
  log::set_level(arguments.debug ? log::Level::debug : config.log_level);
  Fd listener = open_listener(arguments);
  const SocketFile socket(listener);

  Parts parts;
  parts.server.emplace(parts.loop);
  const std::vector<Plugin> plugins = {
      {"io.containerd.internal.v1",
       "shutdown",
       {},
       [&]() -> SkipReason {
         parts.shutdown.emplace(parts.loop);
         return std::nullopt;
       }},
      {"io.containerd.event.v1",
       "publisher",
       {"io.containerd.internal.v1"},
       [&]() -> SkipReason {
         parts.publisher.emplace(parts.loop, Publisher::Settings{arguments.ttrpc_address,
                                                                 arguments.containerd_namespace,
                                                                 config.publisher.max_queued});
         parts.shutdown->at_end("deliver the last events",
                                [&] { return parts.publisher->drain(5s); });
         return std::nullopt;
       }},
      {"io.containerd.ttrpc.v1",
       "task",
       {"io.containerd.event.v1", "io.containerd.internal.v1"},
       [&]() -> SkipReason {
         parts.reaper.emplace(parts.loop);
         parts.task.emplace(
             *parts.reaper, *parts.publisher,
             TaskService::Settings{
                 arguments.containerd_namespace, address_of_path(socket.path()),
                 [&](const wire::Any& options) { return resolve_options(options, config).options; },
                 [&] { parts.shutdown->ask(); }});
         parts.task->serve(*parts.server);
         return std::nullopt;
       }},
  };
  load_plugins(plugins, config.disabled_plugins);
  if (!parts.task) throw Error::failed_precondition("no plugin serves anything");
  parts.shutdown->at_end("let the last answers out", [&] { return parts.server->drain(1s); });
  parts.shutdown->at_end("remove the socket", [&] { return remove_socket(socket); });
  parts.serving.spawn(parts.server->serve(std::move(listener)), "serve");
  parts.loop.run(parts.shutdown->run());
}

int act(int count, char** words) {
  // libprotobuf would print its complaints where containerd expects the answer.
  google::protobuf::SetLogHandler(nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  hold_standard_descriptors();
  const std::string program =
      count > 0 ? std::string(base_name(words[0])) : "containerd-shim-runc-v2";
  try {
    const Arguments arguments = parse_arguments({words + 1, words + count},
                                                [](const char* name) { return std::getenv(name); });
    switch (arguments.action) {
      case Action::help:
        print(usage(program));
        return 0;
      case Action::version:
        print(program + ":\n  Version:  " THINSHIM_VERSION "\n");
        return 0;
      case Action::info:
        throw Error::unimplemented("-info");
      case Action::start:
        start(arguments, read_all(STDIN_FILENO, kMaxInput, "read stdin"), print);
        return 0;
      case Action::remove:
        print(remove_container(arguments));
        return 0;
      case Action::serve:
        serve(arguments);
        return 0;
    }
  } catch (const std::exception& failure) {
    log::error("the shim ends", {{"error", failure.what()}});
    std::fprintf(stderr, "%s: %s\n", program.c_str(), failure.what());
  }
  return 1;
}

}  // namespace
}  // namespace thinshim

int main(int count, char** words) { return thinshim::act(count, words); }
