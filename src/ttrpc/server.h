// SPDX-License-Identifier: Apache-2.0
// The ttrpc server: services by name, and the peers that are connected (connection.h says how each
// of them is served).
//
//     Server server(loop);
//     server.add("containerd.task.v3.Task", "State", service, &TaskService::state);
//     co_await server.serve(std::move(listener));
#pragma once

#include <cstddef>
#include <functional>
#include <list>
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

  // All methods are added before the first peer is served. Adding one twice throws
  // std::logic_error.
  void add(const std::string& service, const std::string& method, Handler handler);
  // The same for messages of protobuf.
  template <class Request, class Response>
  void add(const std::string& service, const std::string& method,
           std::function<Task<Response>(Request)> handler);
  // The same for `Task<Response> Object::member(Request)`; `object` outlives the server.
  template <class Object, class Request, class Response>
  void add(const std::string& service, const std::string& method, Object& object,
           Task<Response> (Object::*member)(Request));

  // Accepts peers until drain() or close(), or until it is cancelled; then closes the listener.
  // Peers accepted so far are served on in any case. Throws Error where the listener is no good.
  // The task must not outlive the server.
  Task<> serve(Fd listener);
  // Serves one connected unix socket. A peer whose effective uid or gid (SO_PEERCRED) is not ours
  // is refused: closed before a byte is read.
  void adopt(Fd peer);

  // What is done whenever the last peer has gone.
  void when_alone(std::function<void()> work) { alone_ = std::move(work); }

  // Stops accepting and reading, gives what is already answered up to `limit` to get out, and
  // closes.
  Task<> drain(Duration limit);
  // Closes everything now. Neither may be called from a handler, which would be destroyed under its
  // own feet.
  void close();

  std::size_t connections() const { return connections_.size(); }
  // Whether a peer waits to be accepted.
  bool is_called() const;
  std::size_t requests_in_flight() const;
  // Bytes held in memory because peers are slow.
  std::size_t buffered() const;

 private:
  Task<> run(std::list<Connection>::iterator connection);
  void stop_accepting();

  Loop& loop_;
  Services services_;
  int listener_ = -1;  // owned by serve()
  bool closed_ = false;
  std::list<Connection> connections_;
  std::function<void()> alone_;
  TaskSet tasks_;
};

template <class Request, class Response>
Task<std::string> call_handler(const std::function<Task<Response>(Request)>& handler,
                               std::string payload) {
  Task<Response> work = handler(parse_message<Request>(payload));
  std::string().swap(payload);  // a Wait keeps this frame for as long as its container lives
  Response response = co_await std::move(work);
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
