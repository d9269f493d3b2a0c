// SPDX-License-Identifier: Apache-2.0
// A serving shim, called as containerd does, with the project's own ttrpc client, one call after
// the other unless said otherwise.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>

#include "async/loop.h"
#include "base/fd.h"
#include "bench/place.h"
#include "task.pb.h"
#include "ttrpc/client.h"

namespace thinshim::bench {

namespace api = containerd::task::v3;
using wire::Empty;

// Longer than any call, also with a hundred under way on a busy machine.
inline constexpr Duration kLimit = std::chrono::seconds(120);
inline constexpr const char* kService = "containerd.task.v2.Task";  // of every peer

template <class T>
T await(Loop& loop, Task<T> task) {
  std::optional<T> result = loop.run(within(loop, kLimit, std::move(task)));
  if (!result) throw Error(Code::deadline_exceeded, "this takes too long");
  return std::move(*result);
}

template <class Request>
Request request_for(const std::string& id, const std::string& exec) {
  Request request;
  request.set_id(id);
  if constexpr (requires { request.set_exec_id(exec); }) request.set_exec_id(exec);
  return request;
}

// A pending Wait for an exit, with the time from the call until the answer.
class Waiter {
 public:
  Waiter(Loop& loop, Client& client, const std::string& id, const std::string& exec) : loop_(loop) {
    waiting_.spawn(wait(client, request_for<api::WaitRequest>(id, exec)), "Wait");
  }
  // Returns after the answer. Throws Error if that is an error.
  void finish() {
    await(loop_, until_done());
    if (failure_) throw *failure_;
  }

 private:
  Task<> wait(Client& client, api::WaitRequest request) {
    try {
      co_await client.call<api::WaitResponse>(kService, "Wait", request, Duration(0));
    } catch (const Error& error) {
      failure_ = error;
    }
    done_.set();
  }
  Task<bool> until_done() {
    co_await done_.wait();
    co_return true;
  }

  Loop& loop_;
  Event done_;
  std::optional<Error> failure_;
  TaskSet waiting_;
};

// The stdio of a container; null by default.
struct Stdio {
  std::string out;
  std::string error;
  bool terminal = false;
};

class Shim {
 public:
  // Takes over a shim whose `start` has been answered.
  Shim(Place& place, const std::string& answer);
  // Creates the bundle, calls `start`.
  static Shim start(Place& place, const std::string& id,
                    const Words& arguments = {"/bin/sleep", "100000"});

  // --- calls
  template <class Response, class Request>
  Response call(const std::string& method, const Request& request) {
    return await(loop(), client_->call<Response>(kService, method, request, Duration(0)));
  }
  api::CreateTaskRequest create_request(const std::string& id, const Stdio& stdio = {}) const;
  void create(const std::string& id, const Stdio& stdio = {});
  pid_t start_process(const std::string& id, const std::string& exec = "");  // its pid
  void exec(const std::string& id, const std::string& exec, const std::string& process);
  void remove(const std::string& id, const std::string& exec = "");
  void state(const std::string& id);
  Waiter wait(const std::string& id, const std::string& exec = "") {
    return Waiter(loop(), *client_, id, exec);
  }
  // Create and Start.
  pid_t run(const std::string& id, const Stdio& stdio = {});
  // Kills a container's process, waits for its exit, deletes it.
  void end_container(const std::string& id, pid_t pid);

  // --- the process; the first call asks the shim for its pid
  pid_t pid();
  // Calls Shutdown and waits for the process; returns its CPU time: its own, and that of its
  // children.
  struct End {
    double milliseconds;
    double own_cpu;
    double child_cpu;
  };
  End shut_down();
  // SIGKILL.
  void crash();
  // Ends a container that the shim was started for: kills it, shuts the shim down, calls `delete`.
  void end(const std::string& id, pid_t pid);

  Client& client() { return *client_; }
  const std::string& socket() const { return socket_; }

 private:
  Loop& loop() { return place_->ground().loop; }

  Place* place_;
  std::string socket_;
  std::unique_ptr<Client> client_;
  pid_t pid_ = 0;
};

// The OCI process of an exec, /bin/true, and the exec of it: Exec, Start, the answered Wait,
// Delete.
extern const char* const kTrueProcess;
void run_exec(Shim& shim, const std::string& id, const std::string& exec);

// The exit of a process, which need not be a child.
Fd open_process(pid_t pid);
void wait_for_end(const Fd& process);

}  // namespace thinshim::bench
