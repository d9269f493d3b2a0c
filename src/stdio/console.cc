// SPDX-License-Identifier: Apache-2.0
#include "stdio/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

Fd listen_at(const std::string& path) {
  Fd listener(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw Error::unknown("bind " + path + ": path longer than 107 bytes");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(path.c_str());  // left by a shim that was killed
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    throw_errno("bind " + path);
  // Before listen(2), so that no process can connect with the mode that bind(2) has set.
  if (::chmod(path.c_str(), 0600) < 0) throw_errno("chmod " + path);
  if (::listen(listener.get(), 1) < 0) throw_errno("listen " + path);
  return listener;
}

}  // namespace

ConsoleSocket::ConsoleSocket(Loop& loop, const std::string& bundle) : loop_(loop) {
  static unsigned long sockets_made = 0;
  try {
    const std::string name = "console-" + std::to_string(++sockets_made) + ".sock";
    path_ = join_path(bundle, name);
    if (path_.size() >= sizeof sockaddr_un::sun_path) {
      directory_ = open_file(bundle, O_PATH | O_DIRECTORY);
      path_ = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(directory_.get()) +
              "/" + name;
    }
    listener_ = listen_at(path_);
  } catch (const Error& error) {
    ::unlink(path_.c_str());  // the destructor will not run
    throw error.in("failed to create OCI runtime console socket");
  }
}

ConsoleSocket::~ConsoleSocket() { ::unlink(path_.c_str()); }

Task<Fd> ConsoleSocket::receive(Duration limit) {
  std::optional<Fd> master = co_await within(loop_, limit, accept_and_receive());
  if (!master)
    throw Error::unknown("failed to retrieve console master: timed out after " +
                         duration_text(limit));
  co_return std::move(*master);
}

Task<Fd> ConsoleSocket::accept_and_receive() {
  Watch incoming(loop_, listener_.get());
  Fd connection;
  while (!connection) {
    connection = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection) break;
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      throw_errno("failed to retrieve console master");
    co_await incoming.readable();
  }
  Watch arriving(loop_, connection.get());
  for (;;) {
    Fd master = receive_fd(connection.get());
    if (master) co_return master;
    co_await arriving.readable();
  }
}

void resize_terminal(int master, unsigned width, unsigned height) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(width);
  size.ws_row = static_cast<unsigned short>(height);
  if (::ioctl(master, TIOCSWINSZ, &size) < 0) throw_errno("resize terminal");
}

Fd open_terminal_peer(int master) {
  return Fd(check(::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC),
                  "ioctl TIOCGPTPEER (needs Linux 4.13)"));
}

std::string end_of_input(int master) {
  termios settings{};
  if (::tcgetattr(master, &settings) < 0 || !(settings.c_lflag & ICANON)) return "";
  return std::string(2, static_cast<char>(settings.c_cc[VEOF]));
}

}  // namespace thinshim
