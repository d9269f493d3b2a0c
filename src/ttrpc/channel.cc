// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/channel.h"

#include <google/protobuf/message_lite.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace thinshim {
namespace {

// A turn ends after this many frames or reads, whichever comes first.
constexpr int kFramesInATurn = 64;
constexpr int kReadsInATurn = 16;
constexpr std::size_t kReadSize = 8 << 10;  // on the stack, whose pages are in use anyway
// The sent part of the output is freed once it is larger than this and than the unsent part.
constexpr std::size_t kKeepSent = 64 << 10;

// The pause after ENOBUFS or ENOMEM: no event announces free memory.
constexpr Duration kMemoryPause(10);

}  // namespace

Channel::Channel(Loop& loop, Fd socket) : loop_(loop), socket_(std::move(socket)) {
  watch_.emplace(loop, socket_.get());
}

bool Channel::receive(const std::function<void(Frame)>& consume) {
  if (broken_) return false;
  char buffer[kReadSize];
  int frames = 0;
  for (int reads = 0; reads < kReadsInATurn && frames < kFramesInATurn; ++reads) {
    ssize_t n;
    do n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    std::string_view bytes(buffer, static_cast<std::size_t>(n));
    while (std::optional<Frame> frame = decoder_.next(bytes)) {
      ++frames;
      consume(std::move(*frame));
      if (broken_) return false;
    }
    if (static_cast<std::size_t>(n) < sizeof buffer) return true;
  }
  return true;
}

void Channel::send(std::uint32_t stream, FrameType type,
                   const google::protobuf::MessageLite& message) {
  if (broken_) return;
  std::size_t length = message.ByteSizeLong();
  std::string frame;
  frame.reserve(kFrameHeaderSize + length);
  append_frame_header(frame, {static_cast<std::uint32_t>(length), stream, type, 0});
  message.AppendToString(&frame);
  if (unsent() > 0) {
    output_ += frame;
    return;
  }
  output_ = std::move(frame);
  flush();
  if (unsent() > 0 && !writing_) {
    writing_ = true;
    writer_.spawn(write_out(), "ttrpc write");
  }
}

void Channel::flush() {
  ssize_t n;
  do n = ::send(socket_.get(), output_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  no_memory_ = n < 0 && (errno == ENOBUFS || errno == ENOMEM);
  if (n < 0 && errno != EAGAIN && !no_memory_) return fail();
  sent_ += n < 0 ? 0 : static_cast<std::size_t>(n);
  if (unsent() == 0) {
    std::string().swap(output_);
    sent_ = 0;
  } else if (sent_ > kKeepSent && sent_ > unsent()) {
    output_ = output_.substr(sent_);
    sent_ = 0;
  }
  progress_.set();
}

Task<> Channel::write_out() {
  while (unsent() > 0) {
    if (no_memory_)
      co_await sleep(loop_, kMemoryPause);
    else
      co_await watch_->writable();
    if (unsent() > 0) flush();
  }
  writing_ = false;
}

Task<> Channel::wait_unsent(std::size_t limit) {
  while (unsent() > limit) {
    progress_.clear();
    co_await progress_.wait();
  }
}

void Channel::fail() {
  broken_ = true;
  if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);  // wakes a coroutine in readable()
  std::string().swap(output_);
  sent_ = 0;
  progress_.set();
}

void Channel::stop_receiving() { ::shutdown(socket_.get(), SHUT_RD); }

void Channel::close() {
  fail();
  writer_.cancel();
  writing_ = false;
  watch_.reset();
  socket_.reset();
}

}  // namespace thinshim
