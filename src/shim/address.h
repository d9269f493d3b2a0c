// SPDX-License-Identifier: Apache-2.0
// Where a shim listens: unix://DIRECTORY/HASH, the hash in hex being the SHA-256 of
// GRPC-ADDRESS/NAMESPACE/GROUP, cleaned as Go's path/filepath does. containerd's tools compute the
// same path (containerd, pkg/shim/shim_linux.go, CreateSocketAddress), so it must be theirs to the
// letter.
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
// Whether something else than a socket has that name; a link to one is something else.
bool is_no_socket(const std::string& path);
// Dead is who is proven dead: nobody listens (ECONNREFUSED), or the process that listens is being
// ended, whose descriptors the kernel has not closed yet: containerd calls `delete` that early. A
// listener whose queue is full is alive. Whatever else a call says (no memory, no descriptor, no
// permission, no such file) is said of us, or of the file, and leaves it unknown.
//
// Where the process that listens is gone and something else holds its socket, that gets 150 ms to
// let go of it, and is alive then.
enum class Liveness { alive, dead, unknown };
struct Probe {
  Liveness listener = Liveness::unknown;
  int pid = 0;                        // of the process that listens, 0 where it is unknown
  std::optional<Error> failure = {};  // why it is unknown whether it lives
  // The file is missing: who listened by its name cannot be reached any more, and may live.
  bool is_missing() const { return failure && failure->errnum() == ENOENT; }
};
// Throws Error where the path is too long for a socket.
Probe probe_socket(const std::string& path);
// The inodes of the sockets that listen by this name in our network namespace, or in that of a
// process, whoever can be reached by it now: the file says nothing of those that were bound before
// it (/proc/net/unix; proc_net(5)). None where the process is gone. Reads all sockets of the
// machine. Throws Error.
std::vector<std::string> listeners_at(const std::string& path, pid_t pid = ::getpid());

// What became of a message to a listener: it is on its way, or lies in the queue that is full;
// nobody listens there; or the connection was lost again.
enum class Delivery { done, refused, lost };
// Connects, writes, and closes again, without waiting for anything. Throws Error where it cannot.
Delivery send_to_socket(const std::string& path, std::string_view bytes);

// The file of a socket that this process has bound, for the time when it must go. It is known by
// its inode, so that the file of a shim that came after is left alone: no other file can have that
// inode while the socket is open.
class SocketFile {
 public:
  explicit SocketFile(const Fd& socket);

  const std::string& path() const { return path_; }
  // Whether it is proven to be gone, or another's by now.
  bool is_gone() const noexcept;
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
