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

// What `ps` shows is what people and scripts look for.
std::vector<std::string> words_of(const Arguments& server, int version) {
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

// In the server, which can tell nobody of a failure: nothing here fails. Whoever knows of it, by
// the lock, by its socket or by the end of stdout, finds all of this done.
void leave_caller(Fd listener, Fd null, std::optional<SocketLock>& lock) {
  ::setpgid(0, 0);
  // Once more: the kernel names to a socket's clients who listened last (unix(7), SO_PEERCRED).
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

// Killed later than containerd, should memory run out. A user namespace forbids it, and so may a
// lack of privileges.
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

// Tells the shim whom it will get, so that it does not end meanwhile. The lock is held until it is
// told; it may have ended before, by a signal or without the lock.
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

// What stands at a group's path, whose lock is held: our own socket, just bound, or the shim that
// listens there and knows of the container by now.
struct Place {
  Fd listener = {};
  int shim = 0;  // its pid, 0 where it is unknown
};
// Removes only the socket of a shim that is proven dead.
Place take_place(const std::string& path, const std::string& id) {
  // One that lives may just be going, or have no room for one more client.
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
    if (probe.is_missing()) continue;  // it was there a moment ago
    if (probe.listener == Liveness::unknown)
      throw probe.failure->in("find out whether the group's shim lives");
    Delivery told = Delivery::refused;
    if (probe.listener == Liveness::alive) told = announce(path, id);
    if (told == Delivery::done) return {Fd(), probe.pid};
    if (told == Delivery::refused && ::unlink(path.c_str()) < 0 && errno != ENOENT)
      throw_errno("remove the socket of a dead shim, " + path);
  }
  throw Error::unavailable("the shim at " + path + " takes no container");
}

// The other extensions are none of ours.
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
    constexpr std::size_t kShown = 100;  // of what may be megabytes
    throw Error::invalid_argument(
        "stdin is neither BootstrapParams of this container nor runtime options of a known type" +
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

  // Locked until the server listens, which has the lock too: others find it dead before, or another
  // process's.
  std::optional<SocketLock> lock(path);
  auto [listener, shim] = take_place(path, request.id);
  if (!listener) {
    lock.reset();
    bundle.write_address(address);
    print(answer(request, version_of_shim(shim).value_or(version), address));
    return std::nullopt;
  }

  const SocketFile socket(listener);
  pid_t server = 0;
  try {
    // Written before there is anybody to be found by it, so that a crash in between leaves a trace
    // (containerd issue 5173).
    bundle.write_address(address);
    if (!request.socket_directory.empty()) bundle.write_socket_dir(request.socket_directory);
    if (arguments.sched_core) share_cores();
    Arguments served = arguments_of_server(arguments, request);
    Fd null = open_file("/dev/null", O_RDWR);
    check(::listen(listener.get(), SOMAXCONN), "listen");
    line.replace(words_of(served, version));  // the server is never seen with others
    server = ::fork();
    if (server == 0) {
      leave_caller(std::move(listener), std::move(null), lock);
      return served;
    }
    line.restore();
    check(server, "fork");
    ::setpgid(server, server);  // here too: whichever of the two is first
    if (!cgroup.empty()) join_cgroup(cgroup, server);
    adjust_oom_score(server);
    // Whoever is to read the answer may not do so, and the server may end meanwhile.
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
