// SPDX-License-Identifier: Apache-2.0
// Owning file descriptors. All descriptors made here are close-on-exec; a child gets only those
// that Command::fds lists.
#pragma once

#include <string>
#include <utility>

namespace thinshim {

// Owns one descriptor, or none (-1). Errors of close(2) are ignored.
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
  // Passes ownership to the caller.
  int release() { return std::exchange(fd_, -1); }
  void reset();
  Fd duplicate(const char* context = "duplicate fd") const;

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; throws Error "open PATH: reason".
Fd open_file(const std::string& path, int flags, unsigned mode = 0);
// The same, but returns an invalid Fd with errno set instead of throwing.
Fd try_open(const std::string& path, int flags, unsigned mode = 0);

struct Pipe {
  Fd read;
  Fd write;
};
// pipe2(2); `flags` are added to O_CLOEXEC. Throws Error.
Pipe make_pipe(int flags = 0, const char* context = "make pipe");

void set_nonblocking(int fd, bool on);

// closefrom(3): closes all descriptors from `first` on. Without close_range(2) (before Linux 5.9,
// or refused by a seccomp filter) it closes those listed in /proc/self/fd one by one. Safe between
// vfork(2) and execve(2).
void close_from(int first);

// Receives one descriptor sent with SCM_RIGHTS over a unix socket. Returns an invalid Fd with errno
// EAGAIN while no message has arrived; throws Error if the message carries no descriptor.
Fd receive_fd(int socket);

}  // namespace thinshim
