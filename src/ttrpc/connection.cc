// SPDX-License-Identifier: Apache-2.0
#include "ttrpc/connection.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

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

Error deadline_exceeded() { return {Code::deadline_exceeded, "context deadline exceeded"}; }

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
  const auto refuse_frame = [&](const Error& reason) {
    send_status(header.stream, to_status(reason));
  };
  if (frame.oversized()) return refuse_frame(message_too_long(header.length));
  if (header.stream % 2 == 0)
    return refuse_frame(
        {Code::invalid_argument, "StreamID must be odd for client initiated streams"});
  if (header.type == FrameType::data)
    return refuse_frame({Code::invalid_argument, "StreamID is no longer active"});
  if (header.type != FrameType::request) return;
  if (header.stream <= last_stream_)
    return refuse_frame({Code::invalid_argument, "StreamID cannot be re-used and must increment"});
  last_stream_ = header.stream;
  if (in_flight_.size() >= kMaxInFlight || in_flight_bytes_ + frame.data.size() > kMaxInFlightBytes)
    return refuse_frame({Code::resource_exhausted,
                         "too many requests in flight on this connection (" +
                             std::to_string(in_flight_.size()) + "): resource exhausted"});
  on_request(header.stream, frame.data);
}

void Connection::on_request(std::uint32_t stream, const std::string& data) {
  try {
    in_flight_.emplace(stream, InFlight{static_cast<std::uint32_t>(data.size())});
    in_flight_bytes_ += data.size();
    ::ttrpc::Request request;
    if (!request.ParseFromString(data))
      throw Error(Code::invalid_argument,
                  "unmarshal request error: proto: cannot parse invalid wire-format data");
    begin(stream, request);
  } catch (...) {
    refuse(stream, to_status(std::current_exception()));
  }
}

void Connection::begin(std::uint32_t stream, ::ttrpc::Request& request) {
  auto service = services_.find(request.service());
  if (service == services_.end()) throw Error(Code::unimplemented, "service " + request.service());
  auto method = service->second.find(request.method());
  if (method == service->second.end())
    throw Error(Code::unimplemented, "method " + request.method());
  if (request.timeout_nano() < 0) throw deadline_exceeded();
  std::string& payload = *request.mutable_payload();
  std::optional<Duration> limit;
  if (request.timeout_nano() > 0) limit = from_nanoseconds(request.timeout_nano());
  if (const auto* handler = std::get_if<Handler>(&method->second)) {
    Task<std::string> work = (*handler)(std::move(payload));
    Task<> answering =
        limit ? answer(stream, bounded(std::move(work), *limit)) : answer(stream, std::move(work));
    requests_.spawn(std::move(answering), "ttrpc");
  } else {
    Reply reply(weak_from_this(), stream);
    Task<> work = std::get<LateHandler>(method->second)(std::move(payload), std::move(reply));
    requests_.spawn(answer_later(stream, std::move(work)), "ttrpc");
    if (limit) set_deadline(stream, *limit);
  }
}

Task<std::string> Connection::bounded(Task<std::string> work, Duration limit) {
  std::optional<std::string> payload = co_await within(loop_, limit, std::move(work));
  if (!payload) throw deadline_exceeded();
  co_return std::move(*payload);
}

Task<> Connection::answer(std::uint32_t stream, Task<std::string> work) {
  std::string payload;
  std::exception_ptr failure;
  try {
    payload = co_await std::move(work);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure)
    refuse(stream, to_status(failure));
  else
    reply(stream, std::move(payload));
}

// The work ends when its Reply is kept elsewhere, or has been used.
Task<> Connection::answer_later(std::uint32_t stream, Task<> work) {
  std::exception_ptr failure;
  try {
    co_await std::move(work);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) refuse(stream, to_status(failure));
}

// One timer for all: the deadline of an answered request must cost nothing, and may be days away.
void Connection::set_deadline(std::uint32_t stream, Duration limit) {
  auto request = in_flight_.find(stream);
  if (request == in_flight_.end()) return;  // answered already
  request->second.deadline = loop_.now() + static_cast<std::uint64_t>(limit.count());
  ++deadlines_;
  if (request->second.deadline >= wake_at_) return;
  stop_expiring();
  expiring_.spawn(expire_requests(), "ttrpc deadlines");
}

std::uint64_t Connection::earliest_deadline() const {
  std::uint64_t earliest = kNoDeadline;
  for (const auto& [stream, request] : in_flight_) earliest = std::min(earliest, request.deadline);
  return earliest;
}

void Connection::stop_expiring() {
  expiring_.cancel();
  wake_at_ = kNoDeadline;
}

Task<> Connection::expire_requests() {
  for (std::uint64_t next; (next = earliest_deadline()) != kNoDeadline;) {
    const std::uint64_t now = loop_.now();
    wake_at_ = next;
    if (next > now) co_await sleep(loop_, Duration(next - now));
    wake_at_ = kNoDeadline;  // take_out() must not stop this
    std::vector<std::uint32_t> expired;
    for (const auto& [stream, request] : in_flight_)
      if (request.deadline <= next) expired.push_back(stream);
    for (std::uint32_t stream : expired) refuse(stream, to_status(deadline_exceeded()));
  }
}

bool Connection::take_out(std::uint32_t stream) {
  auto request = in_flight_.find(stream);
  if (request == in_flight_.end()) return false;
  in_flight_bytes_ -= request->second.bytes;
  const bool has_deadline = request->second.deadline != kNoDeadline;
  in_flight_.erase(request);
  if (has_deadline && --deadlines_ == 0 && wake_at_ != kNoDeadline) stop_expiring();
  return true;
}

void Connection::reply(std::uint32_t stream, std::string payload) {
  if (!take_out(stream)) return;
  ::ttrpc::Response response;
  response.set_payload(std::move(payload));
  send(stream, response);
}

void Connection::refuse(std::uint32_t stream, const wire::Status& status) {
  if (take_out(stream)) send_status(stream, status);
}

void Connection::send_status(std::uint32_t stream, const wire::Status& status) {
  ::ttrpc::Response response;
  *response.mutable_status() = status;
  send(stream, response);
}

void Connection::send(std::uint32_t stream, const ::ttrpc::Response& response) {
  const std::size_t size = response.ByteSizeLong();
  if (size > kMaxFrameData) return send_status(stream, to_status(message_too_long(size)));
  if (size > kSmallReply && channel_.unsent() + size > kMaxUnsent)
    return send_status(
        stream, to_status({Code::resource_exhausted,
                           "too many unread replies on this connection (" +
                               std::to_string(channel_.unsent()) + " bytes): resource exhausted"}));
  channel_.send(stream, FrameType::response, response);
}

}  // namespace thinshim
