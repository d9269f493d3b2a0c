// SPDX-License-Identifier: Apache-2.0
#include "base/fd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace thinshim {

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Fd Fd::duplicate(const char* context) const {
  return Fd(check(::fcntl(fd_, F_DUPFD_CLOEXEC, 3), context));
}

Fd try_open(const std::string& path, int flags, unsigned mode) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

Fd open_file(const std::string& path, int flags, unsigned mode) {
  Fd fd = try_open(path, flags, mode);
  if (!fd) throw_errno("open " + path);
  return fd;
}

Pipe make_pipe(int flags, const char* context) {
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC | flags), context);
  return {Fd(ends[0]), Fd(ends[1])};
}

void set_nonblocking(int fd, bool on) {
  int flags = check(::fcntl(fd, F_GETFL), "fcntl F_GETFL");
  int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags) check(::fcntl(fd, F_SETFL, wanted), "fcntl F_SETFL");
}

void close_from(int first) { ::closefrom(first); }

Fd receive_fd(int socket) {
  char byte;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_LEN(sizeof(int));  // CMSG_SPACE has room for a second descriptor
  ssize_t n;
  do n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return Fd();
  if (n < 0) throw_errno("recvmsg");
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    throw Error::unknown("recvmsg: the peer sent no descriptor");
  int fd;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return Fd(fd);
}

}  // namespace thinshim
