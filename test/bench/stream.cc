// SPDX-License-Identifier: Apache-2.0
#include "bench/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/error.h"

namespace thinshim::bench {
namespace {

Fd open_fifo(const std::string& path) {
  check(::mkfifo(path.c_str(), 0600), "make a fifo");
  return open_file(path, O_RDONLY | O_NONBLOCK);
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

StreamReader::StreamReader(const std::string& path)
    : path_(path),
      fifo_(open_fifo(path)),
      error_fifo_(open_fifo(error_path())),
      null_(open_file("/dev/null", O_WRONLY)),
      thread_([this] { read(); }) {}

StreamReader::~StreamReader() {
  if (thread_.joinable()) {
    ::pthread_cancel(thread_.native_handle());  // after another failure
    thread_.join();
  }
  ::unlink(path_.c_str());
  ::unlink(error_path().c_str());
}

void StreamReader::finish() {
  if (ended_.get_future().wait_for(kLimit) != std::future_status::ready)
    throw Error(Code::deadline_exceeded, "a stream does not end");
  thread_.join();
}

void StreamReader::read() {
  // There is no end of file before the first writer: poll waits for both.
  pollfd watched{fifo_.get(), POLLIN, 0};
  while (::poll(&watched, 1, -1) < 0 && errno == EINTR) {
  }
  first_ = seconds_now();
  set_nonblocking(fifo_.get(), false);
  for (;;) {
    const ssize_t size = ::splice(fifo_.get(), nullptr, null_.get(), nullptr, 1 << 20, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    bytes_ += static_cast<std::uint64_t>(size);
  }
  last_ = seconds_now();
  ended_.set_value();
}

}  // namespace thinshim::bench
