// SPDX-License-Identifier: Apache-2.0
// The Creates that are under way.
//
// A Create runs to its end, even where its client has disconnected or its deadline has passed. The
// client would not know that the container exists, and would not delete it: so it is removed again.
// Other requests for the container wait for its Create, for a while.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "async/loop.h"
#include "async/sync.h"
#include "task/container.h"

namespace thinshim {

class Creations {
 public:
  struct Settings {
    // How long a request for a container waits for its Create.
    Duration wait_limit;
    // Removes a container that was created for a client which is gone. Throws Error.
    std::function<Task<std::shared_ptr<Process>>(std::shared_ptr<Container>)> remove;
    // Called when a Create begins, when its container exists, when its client is gone, and when it
    // is over.
    std::function<void()> changed;
  };
  Creations(Loop& loop, Settings settings) : loop_(loop), settings_(std::move(settings)) {}
  Creations(const Creations&) = delete;
  Creations& operator=(const Creations&) = delete;

  // False where a Create of this id is under way already.
  bool begin(const std::string& id);
  // Ends the Create once `making` has ended: returns init's pid, or throws what `making` threw, or
  // Error canceled where the client is gone. A container that cannot be removed then is killed, and
  // stays, to be deleted later.
  Task<pid_t> finish(std::string id, Task<std::shared_ptr<Container>> making);
  // The client of this Create is gone.
  void abandon(const std::string& id);

  std::size_t count() const { return creates_.size(); }
  // Whether the client of any of them waits.
  bool are_awaited() const;
  // Calls `member`, after the Create of the request's container where one is under way.
  template <class Service, class Response, class Request, class... More>
  Task<Response> call_after(Service& service, Task<Response> (Service::*member)(Request, More...),
                            Request request, More... more) {
    auto create = creates_.find(request.id());
    if (create == creates_.end()) return (service.*member)(std::move(request), std::move(more)...);
    return call_after(wait_settled(create->second.settled), service, member, std::move(request),
                      std::move(more)...);
  }
  // Waits until none is under way, for two seconds at most.
  Task<> wait_finished();

 private:
  struct Create {
    bool awaited = true;  // by its client
    // Set once the container exists or never will.
    std::shared_ptr<Event> settled = std::make_shared<Event>();
  };
  template <class Service, class Response, class Request, class... More>
  static Task<Response> call_after(Task<> wait, Service& service,
                                   Task<Response> (Service::*member)(Request, More...),
                                   Request request, More... more) {
    co_await std::move(wait);
    co_return co_await (service.*member)(std::move(request), std::move(more)...);
  }
  Task<> wait_settled(std::shared_ptr<Event> settled);
  Task<> remove(std::shared_ptr<Container> container);

  Loop& loop_;
  Settings settings_;
  std::map<std::string, Create> creates_;
  Event finished_;
};

}  // namespace thinshim
