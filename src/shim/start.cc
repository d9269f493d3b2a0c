// SPDX-License-Identifier: Apache-2.0
#include "shim/start.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/quote.h"
#include "bootstrap.pb.h"
#include "cgroup/cgroup.h"
#include "oci/bundle.h"
#include "oci/spec.h"
#include "shim/address.h"
#include "shim/config.h"
#include "shim/options.h"
#include "shim/server.h"
#include "shim/version.h"
#include "task.pb.h"
#include "task/service.h"
#include "ttrpc.pb.h"
#include "ttrpc/frame.h"

namespace thinshim {
namespace {

namespace bootstrap = containerd::runtime::bootstrap::v1;

// A core scheduling domain for the shim and all that it starts (prctl(2), PR_SCHED_CORE).
void share_cores() {
  if (::prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0) < 0)
    throw_errno("enable sched core support (PR_SCHED_CORE, Linux 5.14)");
}

Arguments arguments_of_server(const Arguments& arguments, const StartRequest& request) {
  Arguments served;
  served.containerd_namespace = request.containerd_namespace;
  served.id = request.id;
  served.address = request.grpc_address;
  served.ttrpc_address = request.ttrpc_address;
  served.debug = request.debug;
  served.config_file = arguments.config_file;
  return served;
}

// The server's command line, as `ps` shows it.
std::vector<std::string> command_line_of(const Arguments& server, int version) {
  std::vector<std::string> words = {"-namespace",
                                    server.containerd_namespace,
                                    "-id",
                                    server.id,
                                    kVersionFlag + std::to_string(version),
                                    "-address",
                                    server.address};
  if (server.debug) words.emplace_back("-debug");
  return words;
}

// Detaches the server from its caller. Nothing here can fail. All is done before another process
// can notice the server: by the lock, by its socket or by EOF on stdout.
void detach(Fd listener, Fd null, std::optional<SocketLock>& lock) {
  ::setpgid(0, 0);
  // Again, in the server: SO_PEERCRED is the process that called listen(2) last (unix(7)).
  ::listen(listener.get(), SOMAXCONN);
  lock.reset();
  for (int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), standard);
  null.reset();
  if (listener.get() == kListenerFd)
    listener.release();
  else
    ::dup2(listener.get(), kListenerFd);
  listener.reset();
  close_from(kListenerFd + 1);
}

// As the stock shim: containerd's oom_score_adj + 1, so that the kernel kills the shim before
// containerd when memory runs out. EPERM and EACCES, for example in a user namespace, are ignored.
void adjust_oom_score(pid_t server) {
  std::optional<std::string> text =
      read_file("/proc/" + std::to_string(::getppid()) + "/oom_score_adj");
  int score = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), score).ec != std::errc())
    return;
  try {
    write_file("/proc/" + std::to_string(server) + "/oom_score_adj",
               std::to_string(std::min(score + 1, 1000)), 0);
  } catch (const Error& error) {
    if (error.errnum() != EPERM && error.errnum() != EACCES)
      throw error.in("failed to adjust OOM score for shim");
  }
}

std::string answer(const StartRequest& request, int version, const std::string& address) {
  if (!request.bootstrap) return address;
  bootstrap::BootstrapResult result;
  result.set_version(version);
  result.set_address(address);
  result.set_protocol("ttrpc");
  return result.SerializeAsString();
}

// Announces a container to the running shim, so that it does not exit meanwhile. The caller holds
// the socket's lock. The shim may have exited before, by a signal or without the lock.
Delivery announce(const std::string& path, const std::string& id) {
  containerd::task::v3::ConnectRequest message;
  message.set_id(id);
  ttrpc::Request request;
  request.set_service(kStartService);
  request.set_method(kExpect);
  request.set_payload(message.SerializeAsString());
  const std::string data = request.SerializeAsString();
  std::string frame;
  append_frame_header(frame, {static_cast<std::uint32_t>(data.size()), 1, FrameType::request, 0});
  return send_to_socket(path, frame + data);
}

// The socket of a group: a new one, or that of a running shim, to which the container was
// announced.
struct GroupSocket {
  Fd listener = {};  // invalid if a shim is running
  int shim = 0;      // its pid, 0 if unknown
};
// The caller holds the lock. Removes a socket only if its shim is proven dead.
GroupSocket bind_or_announce(const std::string& path, const std::string& id) {
  // A running shim may be about to exit, or have no descriptor left for another client.
  constexpr int kTries = 4;
  constexpr useconds_t kBetweenTries = 5000;
  for (int tries = 0; tries < kTries; ++tries) {
    if (tries > 0) ::usleep(kBetweenTries);
    try {
      return {bind_socket(path)};
    } catch (const Error& error) {
      if (error.errnum() != EADDRINUSE) throw error.in("create new shim socket");
    }
    const Probe probe = probe_socket(path);
    if (probe.is_missing()) continue;  // removed since bind(2)
    if (probe.listener == Liveness::unknown)
      throw probe.failure->in("check the group's running shim");
    Delivery delivery = Delivery::refused;
    if (probe.listener == Liveness::alive) delivery = announce(path, id);
    if (delivery == Delivery::done) return {Fd(), probe.pid};
    if (delivery == Delivery::refused && ::unlink(path.c_str()) < 0 && errno != ENOENT)
      throw_errno("remove the dead shim's socket " + path);
  }
  throw Error::unavailable("the running shim at " + path + " does not accept the container");
}

wire::Any options_among(const bootstrap::BootstrapParams& params) {
  for (const bootstrap::Extension& extension : params.extensions())
    if (is_runtime_options(extension.value().type_url())) return extension.value();
  return {};
}

}  // namespace

StartRequest parse_start_request(const std::string& input, const Arguments& arguments) {
  StartRequest request;
  request.containerd_namespace = arguments.containerd_namespace;
  request.id = arguments.id;
  request.grpc_address = arguments.address;
  request.ttrpc_address = arguments.ttrpc_address;
  request.debug = arguments.debug;
  bootstrap::BootstrapParams params;
  const bool parses_as_params = params.ParseFromString(input);
  if (arguments.id.empty()) {
    request.containerd_namespace = params.namespace_();
    request.id = params.instance_id();
    check_names(request.containerd_namespace, request.id);
  }
  if (parses_as_params && params.instance_id() == request.id &&
      params.namespace_() == request.containerd_namespace) {
    request.bootstrap = true;
    if (!params.containerd_grpc_address().empty())
      request.grpc_address = params.containerd_grpc_address();
    if (!params.containerd_ttrpc_address().empty())
      request.ttrpc_address = params.containerd_ttrpc_address();
    request.socket_directory = params.socket_dir();
    request.debug = request.debug || params.log_level() <= bootstrap::LOG_LEVEL_DEBUG;
    request.options = options_among(params);
    for (const std::string* path :
         {&request.grpc_address, &request.ttrpc_address, &request.socket_directory})
      check_no_nul(*path, "stdin");
    return request;
  }
  const bool parses = request.options.ParseFromString(input);
  const std::string& type = request.options.type_url();
  if (!input.empty() && !(parses && is_runtime_options(type))) {
    constexpr std::size_t kShown = 100;  // stdin may have megabytes
    throw Error::invalid_argument(
        "stdin: neither BootstrapParams of this container nor runtime options of a known type" +
        (parses ? ": " + quoted(std::string_view(type).substr(0, kShown)) : ""));
  }
  return request;
}

std::optional<Arguments> start(const Arguments& arguments, const std::string& input,
                               const std::function<void(const std::string&)>& print,
                               CommandLine& line) {
  StartRequest request = parse_start_request(input, arguments);
  const Config config = load_config("", arguments.config_file);
  check_plugins(config.disabled_plugins);
  const std::string cgroup = resolve_options(request.options, config).options.shim_cgroup();
  Bundle bundle(working_directory());
  std::string group = group_of(bundle.config()).value_or(request.id);
  std::string path = socket_path(request.socket_directory, request.grpc_address,
                                 request.containerd_namespace, group);
  std::string address = address_of_path(path);
  int version = request.bootstrap ? kBootstrapVersion : kLegacyVersion;

  // Held, also by the server after the fork, until the server has called listen(2): before that, a
  // probe would find the socket dead, or this process as its listener.
  std::optional<SocketLock> lock(path);
  auto [listener, shim] = bind_or_announce(path, request.id);
  if (!listener) {
    lock.reset();
    bundle.write_address(address);
    print(answer(request, version_of_shim(shim).value_or(version), address));
    return std::nullopt;
  }

  const SocketFile socket(listener);
  pid_t server = 0;
  try {
    // Written before the server exists, so that `delete` finds the socket after a crash in between
    // (containerd issue 5173).
    bundle.write_address(address);
    if (!request.socket_directory.empty()) bundle.write_socket_dir(request.socket_directory);
    if (arguments.sched_core) share_cores();
    Arguments served = arguments_of_server(arguments, request);
    Fd null = open_file("/dev/null", O_RDWR);
    check(::listen(listener.get(), SOMAXCONN), "listen");
    line.replace(command_line_of(served, version));  // before the fork: `ps` never shows another
    server = ::fork();
    if (server == 0) {
      detach(std::move(listener), std::move(null), lock);
      return served;
    }
    line.restore();
    check(server, "fork");
    ::setpgid(server, server);  // in both processes, because either may run first
    if (!cgroup.empty()) join_cgroup(cgroup, server);
    adjust_oom_score(server);
    // Before print(), which blocks if stdout is not read: the server must be able to exit
    // meanwhile.
    listener.reset();
    lock.reset();
    print(answer(request, version, address));
    return std::nullopt;
  } catch (...) {
    if (server > 0) {
      ::kill(server, SIGKILL);
      ::waitpid(server, nullptr, 0);
    }
    socket.remove();
    throw;
  }
}

}  // namespace thinshim
