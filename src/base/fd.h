// SPDX-License-Identifier: Apache-2.0
// File descriptors with an owner. Everything made here is close-on-exec: what a child gets, it is
// given by name.
#pragma once

#include <string>
#include <utility>

namespace thinshim {

// Owns one descriptor, or none (-1). Closing never fails as far as a caller could act upon.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Hands the descriptor over to the caller.
  int release() { return std::exchange(fd_, -1); }
  void reset();
  Fd duplicate(const char* context = "duplicate fd") const;

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; throws Error "open PATH: reason".
Fd open_file(const std::string& path, int flags, unsigned mode = 0);
// The same, but an invalid Fd (errno set) instead of an exception.
Fd try_open(const std::string& path, int flags, unsigned mode = 0);

struct Pipe {
  Fd read;
  Fd write;
};
// `flags` are added to O_CLOEXEC (O_NONBLOCK for both ends, or 0).
Pipe make_pipe(int flags = 0, const char* context = "make pipe");

void set_nonblocking(int fd, bool on);

// Closes every descriptor from `first` on; between vfork(2) and execve(2) too. Where close_range(2)
// is missing (it came with Linux 5.9), or refused by a seccomp filter, one by one, as /proc/self/fd
// names them (closefrom(3)).
void close_from(int first);

// Receives one descriptor sent with SCM_RIGHTS over a unix socket; close-on-exec.
// Throws Error where the peer sent none; sets errno EAGAIN and returns an invalid Fd where nothing
// arrived yet.
Fd receive_fd(int socket);

}  // namespace thinshim
