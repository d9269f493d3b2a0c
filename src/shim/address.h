// SPDX-License-Identifier: Apache-2.0
// Where a shim listens. containerd's tools compute the same path (containerd,
// pkg/shim/shim_linux.go, CreateSocketAddress), so it must be theirs to the letter:
// unix://DIRECTORY/ and in hex the SHA-256 of GRPC-ADDRESS/NAMESPACE/GROUP, cleaned as Go's
// path/filepath does.
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"

namespace thinshim {

inline constexpr const char* kSocketDirectory = "/run/containerd/s";

// The path of the socket, without "unix://". An empty directory is kSocketDirectory.
std::string socket_path(const std::string& directory, const std::string& grpc_address,
                        const std::string& containerd_namespace, const std::string& group);
// "unix:///a/b" -> "/a/b"; nothing for an address of another kind.
std::optional<std::string> path_of_address(const std::string& address);
std::string address_of_path(const std::string& path);

// Keeps others from binding or removing sockets in a directory; binding, finding out that a socket
// is dead and removing it are several steps. Held for microseconds.
class SocketDirectoryLock {
 public:
  // Makes the directory with mode 0700 where it is missing. Throws Error.
  explicit SocketDirectoryLock(const std::string& socket_path);

 private:
  Fd directory_;
};

// Binds a socket with mode 0600. Until somebody listens on it, it looks dead: keep the directory
// locked. Throws Error, with errnum() EADDRINUSE where the path is taken.
Fd bind_socket(const std::string& path);
// Where a listening socket is bound.
std::string path_of_listener(const Fd& listener);
// Who listens there. Never waits: a listener whose queue is full counts as alive. A process that is
// being ended, whose descriptors the kernel has not closed yet, counts as dead: containerd calls
// `delete` that early.
struct Probe {
  bool alive = false;
  int pid = 0;  // of the process that listens, 0 where unknown
};
Probe probe_socket(const std::string& path);

}  // namespace thinshim
