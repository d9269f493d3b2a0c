// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/connection.h"

#include <utility>

#include "ttrpc.pb.h"
#include "ttrpc/status.h"

namespace thinshim {
namespace {

// Replies up to this size are not counted against kMaxUnsent: there are at most kMaxInFlight.
constexpr std::size_t kSmallReply = 1 << 10;

// Rounded up to whole milliseconds, plus one, because the loop's clock may be almost one behind: a
// deadline is never early.
Duration from_nanoseconds(std::int64_t nanoseconds) {
  return Duration(nanoseconds / 1'000'000 + (nanoseconds % 1'000'000 != 0) + 1);
}

}  // namespace

Connection::Connection(Loop& loop, Fd socket, const Services& services)
    : loop_(loop), services_(services), channel_(loop, std::move(socket)) {}

Task<> Connection::run() {
  for (;;) {
    co_await channel_.readable();
    if (finishing_) break;
    bool open = channel_.receive([this](Frame frame) { on_frame(std::move(frame)); });
    if (!open) co_return;
    if (channel_.unsent() > kPauseAbove) co_await channel_.wait_unsent(kPauseAbove);
  }
  co_await channel_.wait_unsent(0);
}

void Connection::finish() {
  finishing_ = true;
  channel_.stop_receiving();  // makes it readable, which wakes run()
}

void Connection::on_frame(Frame frame) {
  const FrameHeader& header = frame.header;
  if (frame.oversized()) return refuse(header.stream, message_too_long(header.length));
  if (header.stream % 2 == 0)
    return refuse(header.stream,
                  {Code::invalid_argument, "StreamID must be odd for client initiated streams"});
  if (header.type == FrameType::data)
    return refuse(header.stream, {Code::invalid_argument, "StreamID is no longer active"});
  if (header.type != FrameType::request) return;
  if (header.stream <= last_stream_)
    return refuse(header.stream,
                  {Code::invalid_argument, "StreamID cannot be re-used and must increment"});
  last_stream_ = header.stream;
  on_request(header.stream, frame.data);
}

void Connection::on_request(std::uint32_t stream, const std::string& data) {
  if (in_flight_ >= kMaxInFlight || in_flight_bytes_ + data.size() > kMaxInFlightBytes)
    return refuse(stream, {Code::resource_exhausted,
                           "too many requests in flight on this connection (" +
                               std::to_string(in_flight_) + "): resource exhausted"});
  try {
    ::ttrpc::Request request;
    if (!request.ParseFromString(data))
      throw Error(Code::invalid_argument,
                  "unmarshal request error: proto: cannot parse invalid wire-format data");
    requests_.spawn(answer(stream, data.size(), call(request)), "ttrpc");
  } catch (...) {
    refuse(stream, std::current_exception());
  }
}

Task<std::string> Connection::call(::ttrpc::Request& request) {
  auto service = services_.find(request.service());
  if (service == services_.end()) throw Error(Code::unimplemented, "service " + request.service());
  auto method = service->second.find(request.method());
  if (method == service->second.end())
    throw Error(Code::unimplemented, "method " + request.method());
  const std::int64_t timeout = request.timeout_nano();
  if (timeout < 0) throw Error(Code::deadline_exceeded, "context deadline exceeded");
  Task<std::string> work = method->second(std::move(*request.mutable_payload()));
  if (timeout == 0) return work;
  return bounded(std::move(work), from_nanoseconds(timeout));
}

Task<std::string> Connection::bounded(Task<std::string> work, Duration limit) {
  Task<std::optional<std::string>> limited = within(loop_, limit, std::move(work));
  std::optional<std::string> payload = co_await std::move(limited);
  if (!payload) throw Error(Code::deadline_exceeded, "context deadline exceeded");
  co_return std::move(*payload);
}

Task<> Connection::answer(std::uint32_t stream, std::size_t size, Task<std::string> work) {
  ++in_flight_;
  in_flight_bytes_ += size;
  std::string payload;
  std::exception_ptr failure;
  try {
    payload = co_await std::move(work);
  } catch (...) {
    failure = std::current_exception();
  }
  --in_flight_;
  in_flight_bytes_ -= size;
  if (failure)
    refuse(stream, failure);
  else
    reply(stream, std::move(payload));
}

void Connection::reply(std::uint32_t stream, std::string payload) {
  ::ttrpc::Response response;
  response.set_payload(std::move(payload));
  send(stream, response);
}

void Connection::refuse(std::uint32_t stream, const Error& reason) {
  ::ttrpc::Response response;
  *response.mutable_status() = to_status(reason);
  send(stream, response);
}

void Connection::refuse(std::uint32_t stream, std::exception_ptr reason) {
  ::ttrpc::Response response;
  *response.mutable_status() = to_status(reason);
  send(stream, response);
}

void Connection::send(std::uint32_t stream, const ::ttrpc::Response& response) {
  const std::size_t size = response.ByteSizeLong();
  if (size > kMaxFrameData) return refuse(stream, message_too_long(size));
  if (size > kSmallReply && channel_.unsent() + size > kMaxUnsent)
    return refuse(stream, {Code::resource_exhausted,
                           "too many unread replies on this connection (" +
                               std::to_string(channel_.unsent()) + " bytes): resource exhausted"});
  channel_.send(stream, FrameType::response, response);
}

}  // namespace thinshim
