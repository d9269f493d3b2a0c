// SPDX-License-Identifier: Apache-2.0
// One connection of the server: reads requests, runs each as a task, and answers in the order in
// which they finish.
//
// A peer can neither block the loop nor fill the memory:
// - While more than kPauseAbove bytes of replies are unsent, no request is read.
// - A reply that would exceed kMaxUnsent is replaced by a short ResourceExhausted.
// - Requests above kMaxInFlight, or above kMaxInFlightBytes in total, get ResourceExhausted. They
//   are not left unread, because a `Wait` may be in flight for weeks and ttrpc cannot cancel it.
// None of these closes the connection: containerd would take that for an exit of the shim.
//
// Errors, codes and texts are those of ttrpc's Go server (server.go), except: at its deadline a
// request is cancelled and answered; a reply above 4 MiB is replaced by an error, where Go closes
// the connection; data frames always get an error, as streaming is not supported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "ttrpc/channel.h"
#include "ttrpc/reply.h"
#include "wire.pb.h"

namespace ttrpc {
class Request;
class Response;
}  // namespace ttrpc

namespace thinshim {

// Takes the bytes of the request message, returns those of the response message. It is cancelled
// when the peer disconnects or the deadline passes: work that must complete has to be owned by
// another object, and only be awaited here.
using Handler = std::function<Task<std::string>(std::string payload)>;
// The same for a method that answers by `reply`, at any time. If the handler throws, that is the
// answer.
using LateHandler = std::function<Task<>(std::string payload, Reply reply)>;
using AnyHandler = std::variant<Handler, LateHandler>;
// Service name, method name.
using Services = std::map<std::string, std::map<std::string, AnyHandler>>;

inline constexpr std::size_t kPauseAbove = 1u << 20;
inline constexpr std::size_t kMaxUnsent = 16u << 20;
inline constexpr std::size_t kMaxInFlight = 16384;
inline constexpr std::size_t kMaxInFlightBytes = 32u << 20;

// Owned by shared_ptr: replies refer to it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `services` must outlive the connection and not change.
  Connection(Loop& loop, Fd socket, const Services& services);

  // Serves until the peer closes its sending side, or, after finish(), until all replies are sent.
  // The destructor cancels the requests in flight.
  Task<> run();
  // Stops reading requests.
  void finish();

  std::size_t in_flight() const { return in_flight_.size(); }
  bool is_in_flight(std::uint32_t stream) const { return in_flight_.contains(stream); }
  // Answer a request that is in flight; no effect on others.
  void reply(std::uint32_t stream, std::string payload);
  void refuse(std::uint32_t stream, const wire::Status& status);
  // Bytes held: unsent replies and an incomplete request.
  std::size_t buffered() const { return channel_.buffered(); }

 private:
  void on_frame(Frame frame);
  void on_request(std::uint32_t stream, const std::string& data);
  void begin(std::uint32_t stream, ::ttrpc::Request& request);
  Task<std::string> bounded(Task<std::string> work, Duration limit);
  Task<> answer(std::uint32_t stream, Task<std::string> work);
  Task<> answer_later(std::uint32_t stream, Task<> work);
  void set_deadline(std::uint32_t stream, Duration limit);
  std::uint64_t earliest_deadline() const;
  Task<> expire_requests();
  void stop_expiring();
  bool take_out(std::uint32_t stream);
  void send_status(std::uint32_t stream, const wire::Status& status);
  void send(std::uint32_t stream, const ::ttrpc::Response& response);

  Loop& loop_;
  const Services& services_;
  Channel channel_;
  bool finishing_ = false;
  std::uint32_t last_stream_ = 0;  // the highest of all requests
  struct InFlight {
    std::uint32_t bytes = 0;
    std::uint64_t deadline = kNoDeadline;  // by the loop's clock; only of a LateHandler's
  };
  static constexpr std::uint64_t kNoDeadline = ~std::uint64_t{0};
  std::map<std::uint32_t, InFlight> in_flight_;  // by stream
  std::size_t in_flight_bytes_ = 0;
  std::size_t deadlines_ = 0;            // the number of those that have one
  std::uint64_t wake_at_ = kNoDeadline;  // when expire_requests() runs next
  TaskSet requests_;
  TaskSet expiring_;
};

}  // namespace thinshim
