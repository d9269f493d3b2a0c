// SPDX-License-Identifier: Apache-2.0
// The address of a shim's socket: unix://DIRECTORY/HASH. HASH is the SHA-256, in hex, of
// GRPC-ADDRESS/NAMESPACE/GROUP, cleaned as Go's path/filepath does. containerd's tools compute the
// same path (containerd, pkg/shim/shim_linux.go, CreateSocketAddress), so it must be equal.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace thinshim {

inline constexpr const char* kSocketDirectory = "/run/containerd/s";

// The socket's path, without "unix://". An empty directory stands for kSocketDirectory.
std::string socket_path(const std::string& directory, const std::string& grpc_address,
                        const std::string& containerd_namespace, const std::string& group);
// "unix:///a/b" -> "/a/b"; nothing for another scheme.
std::optional<std::string> path_of_address(const std::string& address);
std::string address_of_path(const std::string& path);

// The lock of one socket's path: to bind a socket, to probe it and to remove a dead one are several
// steps, which must not mix with those of another process. It locks one byte of the file `.lock` in
// the socket's directory, chosen by the socket's name (fcntl(2), F_OFD_SETLK): one file serves all
// sockets, and different pods do not wait for each other. Released by the destructor, or when the
// process exits.
class SocketLock {
 public:
  // How long `start` waits for the lock; `delete` waits for less.
  static constexpr std::chrono::milliseconds kTimeout{4000};

  // Creates the directory, with mode 0700, if it is missing. Throws Error; deadline_exceeded if
  // another process still holds the lock after `timeout`.
  explicit SocketLock(const std::string& socket_path, std::chrono::milliseconds timeout = kTimeout);

 private:
  Fd file_;
};

// Binds a socket with mode 0600. It looks dead until listen(2): hold its lock until then. Throws
// Error, with errnum() EADDRINUSE if the path is taken.
Fd bind_socket(const std::string& path);
// Whether the path exists and is not a socket. A symbolic link is not a socket.
bool is_not_socket(const std::string& path);
// Whether a process listens on a socket.
//
// dead:    no process listens (ECONNREFUSED), or the process that listens is being killed: the
//          kernel closes its descriptors later, and containerd calls `delete` before that.
// alive:   the listener accepts, or its backlog is full.
// unknown: any other error (no memory, no descriptor, no permission, no such file), which says
//          nothing about the listener.
//
// If the process that called listen(2) is gone and another one holds its socket, that process has
// 150 ms to close it; after that it counts as alive.
enum class Liveness { alive, dead, unknown };
struct Probe {
  Liveness listener = Liveness::unknown;
  int pid = 0;                        // of the process that listens; 0 if unknown
  std::optional<Error> failure = {};  // why the state is unknown
  // The socket's file is missing. Its listener may be alive, but cannot be reached.
  bool is_missing() const { return failure && failure->errnum() == ENOENT; }
};
// Throws Error if the path is too long for a socket.
Probe probe_socket(const std::string& path);
// The inodes of all sockets that listen by this name in a process's network namespace, also of
// those whose file was removed or replaced (/proc/PID/net/unix; proc_net(5)). Empty if the process
// is gone. Reads the table of all sockets of the namespace. Throws Error.
std::vector<std::string> listeners_at(const std::string& path, pid_t pid = ::getpid());

// done:    the message was sent, or the listener's backlog is full.
// refused: no process listens.
// lost:    the file is missing, or the connection broke.
enum class Delivery { done, refused, lost };
// Connects, sends and closes, without waiting. Throws Error for any other failure.
Delivery send_to_socket(const std::string& path, std::string_view bytes);

// The file of a socket that this process has bound, to be removed at its exit. It is identified by
// its inode, which no other file can have while the socket is open: the file of a later shim at the
// same path is not removed.
class SocketFile {
 public:
  explicit SocketFile(const Fd& socket);

  const std::string& path() const { return path_; }
  // Whether the file is certainly removed or replaced.
  bool is_gone() const noexcept;
  // Takes the socket's lock if it is free, and goes on without it otherwise. Never waits.
  void remove() const noexcept;
  // For a caller that holds the lock.
  void remove_locked() const noexcept;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace thinshim
