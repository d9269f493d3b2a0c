// SPDX-License-Identifier: Apache-2.0
// One peer of the server: reads its requests, runs each as a task of its own, and answers in
// whatever order they finish.
//
// A peer can neither block the loop nor fill the memory:
// - It is not read while more than kPauseAbove bytes of replies wait for it.
// - A reply that would lift that above kMaxUnsent becomes a short ResourceExhausted.
// - Requests beyond kMaxInFlight, or beyond kMaxInFlightBytes together, are refused with
//   ResourceExhausted. They are refused rather than left unread, because room need not ever come: a
//   `Wait` may be in flight for weeks, and ttrpc has no way to cancel it.
// None of them closes the connection: containerd takes that for the death of the shim.
//
// What is refused, with which code and words, is what ttrpc's Go server does (server.go), except:
// at its deadline a request is cancelled and answered; a reply above 4 MiB is replaced by its
// refusal, where Go closes the connection; data frames are always refused, as there are no streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <string>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "ttrpc/channel.h"

namespace ttrpc {
class Request;
class Response;
}  // namespace ttrpc

namespace thinshim {

// Takes the bytes of the request message, returns those of the response message. It is cancelled
// when the peer is gone or the deadline has passed: what must not stop half way belongs to somebody
// else, and is only awaited here.
using Handler = std::function<Task<std::string>(std::string payload)>;
// Service name, method name.
using Services = std::map<std::string, std::map<std::string, Handler>>;

inline constexpr std::size_t kPauseAbove = 1u << 20;
inline constexpr std::size_t kMaxUnsent = 16u << 20;
inline constexpr std::size_t kMaxInFlight = 16384;
inline constexpr std::size_t kMaxInFlightBytes = 32u << 20;

class Connection {
 public:
  // `services` outlives the connection and is not changed meanwhile.
  Connection(Loop& loop, Fd socket, const Services& services);

  // Serves until the peer closes its sending side, or until finish() and everything said is sent.
  // Destroy the connection then: that cancels the requests in flight.
  Task<> run();
  // No further request is read.
  void finish();

  std::size_t in_flight() const { return in_flight_; }
  // Bytes held for the peer's slowness: unsent replies and an unfinished request.
  std::size_t buffered() const { return channel_.buffered(); }

 private:
  void on_frame(Frame frame);
  void on_request(std::uint32_t stream, const std::string& data);
  Task<std::string> call(::ttrpc::Request& request);
  Task<std::string> bounded(Task<std::string> work, Duration limit);
  Task<> answer(std::uint32_t stream, std::size_t size, Task<std::string> work);
  void reply(std::uint32_t stream, std::string payload);
  void refuse(std::uint32_t stream, const Error& reason);
  void refuse(std::uint32_t stream, std::exception_ptr reason);
  void send(std::uint32_t stream, const ::ttrpc::Response& response);

  Loop& loop_;
  const Services& services_;
  Channel channel_;
  bool finishing_ = false;
  std::uint32_t last_stream_ = 0;  // the highest that a request came on
  std::size_t in_flight_ = 0;
  std::size_t in_flight_bytes_ = 0;
  TaskSet requests_;
};

}  // namespace thinshim
