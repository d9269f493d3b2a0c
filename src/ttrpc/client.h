// SPDX-License-Identifier: Apache-2.0
// A ttrpc client of one unix socket: any number of concurrent calls over one connection. The first
// call connects, and so does the next one after the connection broke.
//
// The Error that a call throws:
//   the server's code                  the server returned an error
//   unavailable, errnum() not 0        cannot connect
//   unavailable, "ttrpc: closed"       the connection was closed; the server may have done the work
//   deadline_exceeded                  timed out; likewise
//   resource_exhausted                 request or response above 4 MiB, or the send buffer is full
//                                      because the server does not read
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "ttrpc/channel.h"
#include "ttrpc/status.h"

namespace ttrpc {
class Request;
}

namespace thinshim {

class Client {
 public:
  // Keys are lower case and may repeat.
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  // `path` of the socket. Does not connect yet.
  Client(Loop& loop, std::string path);
  // No call may be in flight.
  ~Client();

  // Returns the response's payload. `timeout` includes connecting, and is sent to the server; 0
  // means none.
  Task<std::string> call(std::string service, std::string method, std::string payload,
                         Duration timeout, Metadata metadata = {});
  // The same for protobuf messages.
  template <class Response, class Message>
  Task<Response> call(std::string service, std::string method, const Message& request,
                      Duration timeout, Metadata metadata = {}) {
    return parse<Response>(call(std::move(service), std::move(method), request.SerializeAsString(),
                                timeout, std::move(metadata)));
  }

  // Closes the connection; calls in flight fail with "ttrpc: closed".
  void close();
  bool connected() const;
  std::size_t calls_in_flight() const { return pending_.size(); }

 private:
  struct Link {
    Link(Loop& loop, Fd socket) : channel(loop, std::move(socket)) {}
    Channel channel;
    TaskSet reader;
  };
  // A call that waits for its response; lives in the call's coroutine frame.
  struct Pending {
    Pending(Client& owner, std::uint32_t id) : client(owner), stream(id) {
      client.pending_.emplace(stream, this);
    }
    ~Pending() { client.pending_.erase(stream); }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    Client& client;
    std::uint32_t stream;
    Event done;
    std::string payload;
    std::optional<Error> failure;
  };

  template <class Response>
  static Task<Response> parse(Task<std::string> reply) {
    std::string payload = co_await std::move(reply);
    co_return parse_message<Response>(payload);
  }
  Task<> connect(std::uint64_t deadline);
  std::uint32_t send(const ::ttrpc::Request& request);
  Task<> receive(Link& link);
  void on_frame(Frame frame);
  void fail_all();

  Loop& loop_;
  std::string path_;
  std::uint32_t next_stream_ = 1;  // not reset by a new connection, so that no two calls share one
  std::map<std::uint32_t, Pending*> pending_;
  std::unique_ptr<Link> link_;
};

}  // namespace thinshim
