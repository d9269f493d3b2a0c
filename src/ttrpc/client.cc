// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/log.h"
#include "ttrpc.pb.h"
#include "ttrpc/status.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxUnsentRequests = 16u << 20;
// The pause after EAGAIN: no event announces room in the backlog.
constexpr Duration kConnectPause(10);
constexpr Duration kLongestTimeout = std::chrono::hours(24 * 365 * 100);  // fits in nanoseconds
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

Error closed() { return {Code::unavailable, "ttrpc: closed"}; }
Error timed_out() { return {Code::deadline_exceeded, "context deadline exceeded"}; }
Error cannot_connect(const std::string& path, int errnum) {
  return {Code::unavailable, "connect to " + path + ": " + errno_text(errnum), errnum};
}

// A connected socket; an invalid Fd if the server's backlog is full.
Fd try_connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) throw cannot_connect(path, ENOENT);
  if (path.size() >= sizeof address.sun_path) throw cannot_connect(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) throw cannot_connect(path, errno);
  int result;
  do result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  while (result < 0 && errno == EINTR);
  if (result == 0) return socket;
  if (errno != EAGAIN) throw cannot_connect(path, errno);
  return Fd();
}

}  // namespace

Client::Client(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
Client::~Client() = default;

bool Client::connected() const { return link_ && !link_->channel.broken(); }

Task<std::string> Client::call(std::string service, std::string method, std::string payload,
                               Duration timeout, Metadata metadata) {
  timeout = std::min(timeout, kLongestTimeout);
  const bool bounded = timeout.count() > 0;
  const std::uint64_t deadline =
      bounded ? loop_.now() + static_cast<std::uint64_t>(timeout.count()) : kNever;
  if (!connected()) co_await connect(deadline);

  Duration left(0);
  if (bounded) left = Duration(static_cast<std::int64_t>(deadline - loop_.now()));
  if (bounded && left.count() <= 0) throw timed_out();
  std::uint32_t stream = 0;
  {
    ::ttrpc::Request request;
    request.set_service(std::move(service));
    request.set_method(std::move(method));
    request.set_payload(std::move(payload));
    request.set_timeout_nano(std::chrono::nanoseconds(left).count());
    for (auto& [key, value] : metadata) {
      ::ttrpc::KeyValue& entry = *request.add_metadata();
      entry.set_key(key);
      entry.set_value(value);
    }
    stream = send(request);
  }
  Pending pending(*this, stream);
  if (bounded) {
    bool answered = co_await TimedWait(loop_, pending.done, left);
    if (!answered) {
      // If the server does not read, the unsent request must not reach it after a retry.
      if (connected() && link_->channel.unsent() > 0) close();
      throw timed_out();
    }
  } else {
    co_await pending.done.wait();
  }
  if (pending.failure) throw *pending.failure;
  co_return std::move(pending.payload);
}

Task<> Client::connect(std::uint64_t deadline) {
  while (!connected()) {
    Fd socket = try_connect(path_);
    if (socket) {
      link_ = std::make_unique<Link>(loop_, std::move(socket));
      link_->reader.spawn(receive(*link_), "ttrpc client");
      co_return;
    }
    if (loop_.now() >= deadline) throw timed_out();
    co_await sleep(loop_, kConnectPause);
  }
}

std::uint32_t Client::send(const ::ttrpc::Request& request) {
  const std::size_t size = request.ByteSizeLong();
  if (size > kMaxFrameData) throw message_too_long(size);
  if (link_->channel.unsent() + size > kMaxUnsentRequests)
    throw Error(Code::resource_exhausted, "ttrpc: send buffer full: resource exhausted");
  const std::uint32_t stream = next_stream_;
  next_stream_ += 2;
  link_->channel.send(stream, FrameType::request, request);
  // Stream ids must increase on a connection: after the last one, connect anew.
  if (next_stream_ < stream || link_->channel.broken()) {
    close();
    throw closed();
  }
  return stream;
}

Task<> Client::receive(Link& link) {
  bool open = true;
  while (open) {
    co_await link.channel.readable();
    open = link.channel.receive([this](Frame frame) { on_frame(std::move(frame)); });
  }
  link.channel.close();
  fail_all();
}

void Client::on_frame(Frame frame) {
  auto found = pending_.find(frame.header.stream);
  if (found == pending_.end()) {
    log::debug("ttrpc: reply to an unknown stream");
    return;
  }
  Pending& pending = *found->second;
  ::ttrpc::Response response;
  if (frame.oversized()) {
    pending.failure = message_too_long(frame.header.length);
  } else if (frame.header.type != FrameType::response) {
    pending.failure = Error(Code::internal, "ttrpc: protocol error: not a response frame");
  } else if (!response.ParseFromString(frame.data)) {
    pending.failure = malformed_payload();
  } else if (response.status().code() != 0) {
    pending.failure = to_error(response.status());
  } else {
    pending.payload = std::move(*response.mutable_payload());
  }
  pending_.erase(found);
  pending.done.set();
}

void Client::fail_all() {
  for (auto& [stream, pending] : pending_) {
    pending->failure = closed();
    pending->done.set();
  }
  pending_.clear();
}

void Client::close() {
  if (link_) link_->channel.fail();  // makes receive() return
  fail_all();
}

}  // namespace thinshim
