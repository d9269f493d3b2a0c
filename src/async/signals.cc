// SPDX-License-Identifier: Apache-2.0
#include "async/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace thinshim {
namespace {

Fd block_and_open(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : numbers) sigaddset(&set, number);
  check(sigprocmask(SIG_BLOCK, &set, nullptr), "sigprocmask");
  return Fd(check(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

}  // namespace

Signals::Signals(Loop& loop, std::initializer_list<int> numbers)
    : fd_(block_and_open(numbers)), watch_(loop, fd_.get()) {}

Task<int> Signals::next() {
  for (;;) {
    // Even if a signal is pending: see the header.
    co_await watch_.readable();
    signalfd_siginfo info;
    ssize_t n = ::read(fd_.get(), &info, sizeof info);
    if (n == static_cast<ssize_t>(sizeof info)) co_return static_cast<int>(info.ssi_signo);
    if (n < 0 && errno != EAGAIN && errno != EINTR) throw_errno("read signalfd");
  }
}

}  // namespace thinshim
