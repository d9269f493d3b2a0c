// SPDX-License-Identifier: Apache-2.0
// A ttrpc client of one unix socket: any number of calls at a time over one connection, which is
// made by the first call and again by the next one after it broke.
//
// How a call failed is in the Error that it throws:
//   whatever code the server gave      the server refused it
//   unavailable, errnum() not 0        no connection could be made
//   unavailable, "ttrpc: closed"       the connection ended; the server may have done the work
//   deadline_exceeded                  no answer in time; likewise
//   resource_exhausted                 request or response are above 4 MiB, or the server does not
//                                      read and too much waits for it already
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

  // `path` of the socket; nothing is opened yet.
  Client(Loop& loop, std::string path);
  // Calls must have ended by then.
  ~Client();

  // Returns the response's payload. `timeout` includes the time that connecting takes, and is told
  // to the server; 0 waits for ever.
  Task<std::string> call(std::string service, std::string method, std::string payload,
                         Duration timeout, Metadata metadata = {});
  // The same with messages of protobuf.
  template <class Response, class Message>
  Task<Response> call(std::string service, std::string method, const Message& request,
                      Duration timeout, Metadata metadata = {}) {
    return parse<Response>(call(std::move(service), std::move(method), request.SerializeAsString(),
                                timeout, std::move(metadata)));
  }

  // Ends the connection; calls in flight fail with "ttrpc: closed".
  void close();
  bool connected() const;
  std::size_t calls_in_flight() const { return pending_.size(); }

 private:
  struct Link {
    Link(Loop& loop, Fd socket) : channel(loop, std::move(socket)) {}
    Channel channel;
    TaskSet reader;
  };
  // A call that waits for its answer; lives on the call's frame.
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
  std::uint32_t next_stream_ = 1;  // goes on across connections, so that no two calls share one
  std::map<std::uint32_t, Pending*> pending_;
  std::unique_ptr<Link> link_;
};

}  // namespace thinshim
