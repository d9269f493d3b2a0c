// SPDX-License-Identifier: Apache-2.0
#include "support/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace thinshim::test {
Terminal::Terminal(std::vector<std::string> argv, WindowSize size) {
  std::vector<char*> arguments;
  for (std::string& argument : argv) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  const winsize window = {size.rows, size.columns, 0, 0};
  pid_ = forkpty(&master_, nullptr, nullptr, &window);
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "forkpty");
  if (pid_ == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    // ctr leaves this on when it makes the terminal raw, and the container's own has done it.
    termios settings = {};
    tcgetattr(0, &settings);
    settings.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
    tcsetattr(0, TCSANOW, &settings);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  fcntl(master_, F_SETFD, FD_CLOEXEC);
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(master_);
}

void Terminal::type(const std::string& text) {
  // A line of a test is far below the 4096 bytes that the line discipline takes at once.
  if (write(master_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::system_error(errno, std::generic_category(), "write to the terminal");
  }
}

void Terminal::resize(WindowSize size) {
  const winsize window = {size.rows, size.columns, 0, 0};
  ioctl(master_, TIOCSWINSZ, &window);
}

// False at the end of the output: the terminal returns EIO once its last user has closed it.
bool Terminal::read_some(Duration limit) {
  pollfd ready = {master_, POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return true;
  char block[4096];
  const ssize_t n = read(master_, block, sizeof block);
  if (n <= 0) return false;
  text_.append(block, static_cast<size_t>(n));
  return true;
}

bool Terminal::wait_for(const std::string& text, Duration limit) {
  const auto end = Clock::now() + limit;
  bool open = true;
  while (text_.find(text) == std::string::npos) {
    if (!open || Clock::now() >= end) return false;
    open = read_some(time_left(end));
  }
  return true;
}

Outcome Terminal::wait(Duration limit) {
  Outcome outcome;
  const auto end = Clock::now() + limit;
  while (Clock::now() < end && read_some(time_left(end))) {
  }
  outcome.timed_out = Clock::now() >= end;
  if (outcome.timed_out) kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  outcome.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  outcome.out = text_;
  return outcome;
}

}  // namespace thinshim::test
