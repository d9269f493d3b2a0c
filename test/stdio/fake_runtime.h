// SPDX-License-Identifier: Apache-2.0
// The runtime's part in making a terminal: it makes the pair, sends the master to the console
// socket, and starts a process at the slave.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"

namespace thinshim::test {

inline Fd connect_to(const std::string& path) {
  Fd socket(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  check(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "connect");
  return socket;
}

inline void send_fds(const Fd& socket, const std::string& text, const std::vector<int>& fds) {
  std::vector<char> control(CMSG_SPACE(sizeof(int) * fds.size()));
  std::string data = text;
  iovec part{data.data(), data.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  check(::sendmsg(socket.get(), &message, MSG_NOSIGNAL), "sendmsg");
}

struct TerminalPair {
  Fd master;
  Fd slave;
  std::string name;
};
inline TerminalPair make_terminal() {
  TerminalPair pair;
  pair.master = Fd(check(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt"));
  check(::unlockpt(pair.master.get()), "unlockpt");
  char name[64];
  check(-::ptsname_r(pair.master.get(), name, sizeof name), "ptsname");
  pair.name = name;
  pair.slave = open_file(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
  return pair;
}

// Raw mode: no translation of line ends, no echo, no line buffering.
inline void make_raw(const Fd& terminal) {
  termios settings{};
  check(::tcgetattr(terminal.get(), &settings), "tcgetattr");
  ::cfmakeraw(&settings);
  check(::tcsetattr(terminal.get(), TCSANOW, &settings), "tcsetattr");
}

// Sends the master as runc does, with the terminal's name as the data; returns the slave. The
// receiver need not have called accept(2) yet.
inline TerminalPair hand_over_terminal(const std::string& console_socket) {
  TerminalPair pair = make_terminal();
  send_fds(connect_to(console_socket), pair.name, {pair.master.get()});
  pair.master.reset();
  return pair;
}

// A child that acts as the runtime and then as the container's process: a shell whose controlling
// terminal is the new one. The destructor kills it and its children.
class TerminalProcess {
 public:
  TerminalProcess(const std::string& console_socket, const std::string& script) {
    pid_ = check(::fork(), "fork");
    if (pid_ == 0) be_process(console_socket, script);
    pidfd_ = Fd(check(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)), "pidfd_open"));
  }
  ~TerminalProcess() {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  TerminalProcess(const TerminalProcess&) = delete;
  TerminalProcess& operator=(const TerminalProcess&) = delete;

  Task<> exited(Loop& loop) {
    Watch watch(loop, pidfd_.get());
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0)
      co_await watch.readable();
  }

 private:
  [[noreturn]] static void be_process(const std::string& console_socket,
                                      const std::string& script) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setsid();
    try {
      TerminalPair pair = hand_over_terminal(console_socket);
      set_nonblocking(pair.slave.get(), false);
      check(::ioctl(pair.slave.get(), TIOCSCTTY, 0), "TIOCSCTTY");
      for (int fd : {0, 1, 2}) check(::dup2(pair.slave.get(), fd), "dup2");
      ::signal(SIGPIPE, SIG_DFL);
      ::execl("/bin/sh", "sh", "-c", script.c_str(), static_cast<char*>(nullptr));
    } catch (const Error& error) {
      ::dprintf(2, "%s\n", error.what());
    }
    ::_exit(127);
  }

  pid_t pid_;
  Fd pidfd_;
};

}  // namespace thinshim::test
