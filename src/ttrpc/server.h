// SPDX-License-Identifier: Apache-2.0
// The ttrpc server: services by name, and the connections of its peers (ttrpc/connection.h).
//
//     Server server(loop);
//     server.add("containerd.task.v3.Task", "State", service, &TaskService::state);
//     co_await server.serve(std::move(listener));
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "async/loop.h"
#include "base/fd.h"
#include "ttrpc/connection.h"
#include "ttrpc/status.h"

namespace thinshim {

class Server {
 public:
  explicit Server(Loop& loop) : loop_(loop) {}

  // All methods must be added before the first peer is served. A duplicate throws std::logic_error.
  void add(const std::string& service, const std::string& method, Handler handler);
  // The same for a method that is answered by its Reply.
  void add_late(const std::string& service, const std::string& method, LateHandler handler);
  // The same for protobuf messages.
  template <class Request, class Response>
  void add(const std::string& service, const std::string& method,
           std::function<Task<Response>(Request)> handler);
  // The same for `Task<Response> Object::member(Request)`; `object` must outlive the server.
  template <class Object, class Request, class Response>
  void add(const std::string& service, const std::string& method, Object& object,
           Task<Response> (Object::*member)(Request));

  // Accepts peers until drain(), close() or cancellation; then closes the listener. Accepted peers
  // are still served. Throws Error if the listener is not a listening socket. The task must not
  // outlive the server.
  Task<> serve(Fd listener);
  // Serves a connected unix socket. If the peer's effective uid or gid (SO_PEERCRED) differs from
  // ours, the socket is closed before a byte is read.
  void adopt(Fd peer);

  // Called each time the last connection is closed.
  void on_last_disconnect(std::function<void()> callback) {
    on_last_disconnect_ = std::move(callback);
  }

  // Stops accepting and reading, waits up to `limit` for pending replies to be sent, and closes.
  Task<> drain(Duration limit);
  // Closes everything now. Neither may be called from a handler, whose coroutine they destroy.
  void close();

  std::size_t connections() const { return connections_.size(); }
  // Whether a peer waits to be accepted.
  bool has_pending_peer() const;
  std::size_t requests_in_flight() const;
  // Bytes held for all connections: unsent replies and incomplete requests.
  std::size_t buffered() const;

 private:
  using Connections = std::list<std::shared_ptr<Connection>>;
  Task<> run(Connections::iterator connection);
  void add_any(const std::string& service, const std::string& method, AnyHandler handler);
  void stop_accepting();

  Loop& loop_;
  Services services_;
  int listener_ = -1;  // owned by serve()
  bool closed_ = false;
  Connections connections_;
  std::function<void()> on_last_disconnect_;
  TaskSet tasks_;
};

template <class Request, class Response>
Task<std::string> call_handler(const std::function<Task<Response>(Request)>& handler,
                               std::string payload) {
  Response response = co_await handler(parse_message<Request>(payload));
  co_return response.SerializeAsString();
}

template <class Request, class Response>
void Server::add(const std::string& service, const std::string& method,
                 std::function<Task<Response>(Request)> handler) {
  add(service, method, [handler = std::move(handler)](std::string payload) {
    return call_handler(handler, std::move(payload));
  });
}

template <class Object, class Request, class Response>
void Server::add(const std::string& service, const std::string& method, Object& object,
                 Task<Response> (Object::*member)(Request)) {
  add<Request, Response>(service, method, [&object, member](Request request) {
    return (object.*member)(std::move(request));
  });
}

}  // namespace thinshim
