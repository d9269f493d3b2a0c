// SPDX-License-Identifier: Apache-2.0
#include "stdio/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace thinshim {
namespace {

constexpr std::size_t kSpliceChunk = 256 << 10;
constexpr std::size_t kCopyChunk = 16 << 10;
// The pump yields to other tasks after this many bytes, about every 100 µs.
constexpr std::size_t kBytesPerTurn = 256 << 10;
constexpr std::size_t kBytesPerStep = 16 << 10;  // added per step, as the cost of its system calls
constexpr Duration kMemoryPause(10);             // after ENOMEM

// True if the pipe has grown. False if `fd` is not a pipe, is large enough, or may not grow.
bool grow_pipe(int fd, std::size_t size) {
  const int now = ::fcntl(fd, F_GETPIPE_SZ);
  if (now < 0 || static_cast<std::size_t>(now) >= size) return false;
  return ::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(size)) >= 0;
}

}  // namespace

std::size_t bytes_in(int fd) {
  int count = 0;
  return fd >= 0 && ::ioctl(fd, FIONREAD, &count) == 0 && count > 0
             ? static_cast<std::size_t>(count)
             : 0;
}

Pump::Pump(Loop& loop, End source, End sink, BrokenSink broken_sink, std::string name,
           std::size_t pipe_size)
    : loop_(loop),
      source_(source.fd),
      sink_(sink.fd),
      broken_sink_(broken_sink),
      name_(std::move(name)),
      pipe_size_(pipe_size),
      source_watch_(source.watch),
      sink_watch_(sink.watch) {
  spliceable_ = !::isatty(source_) && !::isatty(sink_);
  if (!source_watch_) source_watch_ = &own_source_watch_.emplace(loop, source_);
  if (sink_watch_) return;
  // /dev/null and similar devices refuse epoll (EPERM), and never block.
  try {
    sink_watch_ = &own_sink_watch_.emplace(loop, sink_);
  } catch (const Error& error) {
    if (error.errnum() != EPERM) throw;
  }
}

Pump::~Pump() {
  if (dropped_ != 0)
    log::warning("output was lost", {{"stream", name_}, {"bytes", std::to_string(dropped_)}});
}

std::size_t Pump::unwritten_bytes() const { return pending_.size() + bytes_in(source_); }

Task<> Pump::run() { return copy(false); }
Task<> Pump::drain() { return copy(true); }

Task<> Pump::copy(bool until_empty) {
  for (turn_ = 0;;) {
    Step done = step();
    turn_ += kBytesPerStep;
    if (done == Step::ended) co_return;
    if (done == Step::source_empty && until_empty) co_return;
    if (done == Step::source_empty) co_await source_watch_->readable();
    if (done == Step::sink_full && grow()) continue;
    if (done == Step::sink_full) co_await sink_watch_->writable();
    if (done == Step::no_memory) co_await sleep(loop_, kMemoryPause);
    if (done == Step::moved && turn_ < kBytesPerTurn) continue;
    if (done == Step::moved) co_await yield(loop_);
    turn_ = 0;
  }
}

Pump::Step Pump::step() { return spliceable_ && !sink_broken_ ? splice_step() : copy_step(); }

Pump::Step Pump::splice_step() {
  ssize_t n =
      ::splice(source_, nullptr, sink_, nullptr, kSpliceChunk, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n > 0) {
    turn_ += static_cast<std::size_t>(n);
    return Step::moved;
  }
  if (n == 0) return Step::ended;
  if (errno == EINTR) return Step::moved;
  if (errno == ENOMEM) return Step::no_memory;
  if (errno != EAGAIN) {
    // Not spliceable, or one of the two is broken: read(2) and write(2) return the error.
    spliceable_ = false;
    return copy_step();
  }
  // EAGAIN does not say which side was not ready.
  pollfd sides[] = {{source_, POLLIN, 0}, {sink_, POLLOUT, 0}};
  ::poll(sides, 2, 0);
  if (sides[0].revents == 0) return Step::source_empty;
  return sides[1].revents == 0 && sink_watch_ ? Step::sink_full : Step::moved;
}

Pump::Step Pump::copy_step() {
  char chunk[kCopyChunk];
  const char* data = pending_.data();
  std::size_t size = pending_.size();
  if (size == 0) {
    ssize_t n = ::read(source_, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) return Step::moved;
    if (n < 0 && errno == EAGAIN) return Step::source_empty;
    if (n <= 0) return Step::ended;  // EIO: the end of a terminal
    if (sink_broken_) {
      dropped_ += static_cast<std::size_t>(n);
      return Step::moved;
    }
    data = chunk;
    size = static_cast<std::size_t>(n);
    turn_ += size;
  }
  ssize_t n = ::write(sink_, data, size);
  int errnum = errno;
  std::size_t written = n < 0 ? 0 : static_cast<std::size_t>(n);
  if (pending_.empty())
    pending_.assign(data + written, size - written);
  else
    pending_.erase(0, written);
  if (n >= 0 || errnum == EINTR) return Step::moved;
  if (errnum == EAGAIN && sink_watch_) return Step::sink_full;
  if (errnum == ENOMEM) return Step::no_memory;
  return sink_failed(errnum);
}

Pump::Step Pump::sink_failed(int errnum) {
  const std::size_t lost = pending_.size();
  pending_.clear();
  if (broken_sink_ == BrokenSink::stop) return Step::ended;
  log::warning("output is dropped", {{"stream", name_}, {"error", errno_text(errnum)}});
  dropped_ += lost;
  sink_broken_ = true;
  return Step::moved;
}

// True if the sink has more room now.
bool Pump::grow() {
  const std::size_t size = std::exchange(pipe_size_, 0);
  if (size == 0) return false;
  grow_pipe(source_, size);
  return grow_pipe(sink_, size);
}

}  // namespace thinshim
