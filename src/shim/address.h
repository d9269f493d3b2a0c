// SPDX-License-Identifier: Apache-2.0
// Where a shim listens: unix://DIRECTORY/HASH, the hash in hex being the SHA-256 of
// GRPC-ADDRESS/NAMESPACE/GROUP, cleaned as Go's path/filepath does. containerd's tools compute the
// same path (containerd, pkg/shim/shim_linux.go, CreateSocketAddress), so it must be theirs to the
// letter.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace thinshim {

inline constexpr const char* kSocketDirectory = "/run/containerd/s";

// The path of the socket, without "unix://". An empty directory is kSocketDirectory.
std::string socket_path(const std::string& directory, const std::string& grpc_address,
                        const std::string& containerd_namespace, const std::string& group);
// "unix:///a/b" -> "/a/b"; nothing for an address of another kind.
std::optional<std::string> path_of_address(const std::string& address);
std::string address_of_path(const std::string& path);

// Keeps others from binding or removing one socket: to bind it, to find out that it is dead, and to
// remove it are several steps. A byte of the file `.lock` in the socket's directory is locked, one
// for each socket (fcntl(2), F_OFD_SETLK), so that nobody waits for the shim of another pod, and
// the one file serves all. It ends with the object, or with its process.
class SocketLock {
 public:
  // How long the action `start` waits for others of the same pod; `delete` has less time.
  static constexpr std::chrono::milliseconds kPatience{4000};

  // Makes the directory with mode 0700 where it is missing. Throws Error, deadline_exceeded where
  // another process still holds the lock when the time is over.
  explicit SocketLock(const std::string& socket_path,
                      std::chrono::milliseconds patience = kPatience);

 private:
  Fd file_;
};

// Binds a socket with mode 0600. Until somebody listens on it, it looks dead: keep it locked.
// Throws Error, with errnum() EADDRINUSE where the path is taken.
Fd bind_socket(const std::string& path);
// Whether there is a socket of that name; a link to one is none.
bool is_socket(const std::string& path);
// Who listens there; a listener whose queue is full counts as alive. A process that is being ended,
// whose descriptors the kernel has not closed yet, counts as dead: containerd calls `delete` that
// early. Where the process that listens is gone and something else holds its socket, that gets
// 150 ms to let go of it.
struct Probe {
  bool alive = false;
  int pid = 0;  // of the process that listens, 0 where unknown
};
Probe probe_socket(const std::string& path);
// Connects, writes, and closes again, without waiting for anything; false where nobody listens
// there any more. Who has no time for it just now is there.
bool send_to_socket(const std::string& path, std::string_view bytes);

// The file of a socket that this process has bound, for the time when it must go. It is known by
// its inode, so that the file of a shim that came after is left alone: no other file can have that
// inode while the socket is open.
class SocketFile {
 public:
  explicit SocketFile(const Fd& socket);

  const std::string& path() const { return path_; }
  bool is_there() const noexcept;
  // Under the socket's lock if it is free, without it otherwise; never waits, never throws.
  void remove() const noexcept;
  // For whoever has the lock.
  void remove_locked() const noexcept;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace thinshim
