// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "base/error.h"
#include "runc_options.pb.h"
#include "support/eventually.h"
#include "task.pb.h"
#include "ttrpc/client.h"
#include "wire.pb.h"

namespace thinshim::test {

using namespace std::chrono_literals;
using wire::Empty;
namespace api = containerd::task::v3;
namespace types = containerd::v1::types;

using Lines = std::vector<std::string>;

inline bool contains(const Error& error, const std::string& words) {
  return std::string(error.what()).find(words) != std::string::npos;
}

// Sets the options of a request to a message of any type.
template <class Request, class Options>
void set_options(Request& request, const Options& options) {
  request.mutable_options()->set_type_url(options.GetTypeName());
  request.mutable_options()->set_value(options.SerializeAsString());
}

// A pending call.
template <class Response>
struct Call {
  Event done;
  std::optional<Response> response;
  std::optional<Error> error;
};
template <class Response>
using CallPtr = std::shared_ptr<Call<Response>>;

// A client of the Task API. Functions that end in _begin do not wait; end() or refusal_of() does.
// The others throw the Error of the shim's response.
class TaskCalls {
 public:
  // A timeout that a passing test never reaches.
  inline static const Duration kLimit = 60s * slowness();

  TaskCalls(Loop& loop, const std::string& socket) : loop_(loop), client(loop, socket) {}

  // --- the loop
  template <class T>
  T await(Task<T> task) {
    std::optional<T> result = loop_.run(within(loop_, kLimit, std::move(task)));
    if (!result) throw std::runtime_error("timed out");
    return std::move(*result);
  }
  void pass(std::chrono::milliseconds time);
  // Runs the loop until the condition is true; throws after the timeout.
  void until(const std::function<bool()>& condition);

  // --- any call
  template <class Response, class Request>
  CallPtr<Response> begin(const std::string& method, Request request, Client* by = nullptr) {
    auto call = std::make_shared<Call<Response>>();
    calls.spawn(run_call<Response>(by ? *by : client, service, method, std::move(request), call),
                method);
    return call;
  }
  template <class Response>
  Response end(CallPtr<Response> call) {
    until([&] { return call->done.is_set(); });
    if (call->error) throw *call->error;
    return *call->response;
  }
  template <class Response, class Request>
  Response call(const std::string& method, Request request) {
    return end(begin<Response>(method, std::move(request)));
  }
  // The same for a coroutine.
  template <class Response, class Request>
  Task<Response> ask(std::string method, const Request& request) {
    return client.call<Response>(service, std::move(method), request, Duration(0));
  }
  // The error of the call; fails the test if it succeeds.
  template <class Response>
  Error refusal_of(CallPtr<Response> call) {
    try {
      end(call);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "not refused";
    return Error(Code::ok, "");
  }

  // --- the API; `by` is another client than `client`
  CallPtr<api::CreateTaskResponse> create_begin(api::CreateTaskRequest request,
                                                Client* by = nullptr);
  CallPtr<api::StartResponse> start_begin(const std::string& id, const std::string& exec = "",
                                          Client* by = nullptr);
  pid_t start(const std::string& id, const std::string& exec = "");
  CallPtr<api::DeleteResponse> remove_begin(const std::string& id, const std::string& exec = "",
                                            Client* by = nullptr);
  api::DeleteResponse remove(const std::string& id, const std::string& exec = "");
  CallPtr<Empty> kill_begin(const std::string& id, int signal, const std::string& exec = "",
                            bool all = false);
  void kill(const std::string& id, int signal, const std::string& exec = "", bool all = false);
  CallPtr<api::WaitResponse> wait_begin(const std::string& id, const std::string& exec = "",
                                        Client* by = nullptr);
  std::uint32_t wait(const std::string& id, const std::string& exec = "");
  CallPtr<api::StateResponse> state_begin(const std::string& id, const std::string& exec = "");
  api::StateResponse state(const std::string& id, const std::string& exec = "");
  CallPtr<api::PidsResponse> pids_begin(const std::string& id);
  CallPtr<Empty> pause_begin(const std::string& id);
  CallPtr<Empty> resume_begin(const std::string& id);
  CallPtr<Empty> update_begin(const std::string& id, const std::string& resources);
  CallPtr<Empty> checkpoint_begin(const std::string& id, const std::string& path,
                                  const containerd::runc::v1::CheckpointOptions& options = {});
  CallPtr<api::StatsResponse> stats_begin(const std::string& id);
  CallPtr<api::ConnectResponse> connect_begin(const std::string& id);
  CallPtr<Empty> close_begin(const std::string& id, const std::string& exec = "");
  CallPtr<Empty> resize_begin(const std::string& id, const std::string& exec, unsigned width,
                              unsigned height);
  void shutdown();
  // Kills a running container, and deletes it.
  void end_container(const std::string& id);

 private:
  template <class Response, class Request>
  static Task<> run_call(Client& client, std::string service, std::string method, Request request,
                         CallPtr<Response> call) {
    try {
      call->response = co_await client.call<Response>(service, method, request, 0ms);
    } catch (const Error& error) {
      call->error = error;
    }
    call->done.set();
  }

  Loop& loop_;

 public:
  std::string service = "containerd.task.v3.Task";
  Client client;
  TaskSet calls;
};

// EXPECT_REFUSED(state_begin("x"), not_found, "container not created: not found");
#define EXPECT_REFUSED(call, error_code, text) EXPECT_REFUSED_BY(*this, call, error_code, text)
#define EXPECT_REFUSED_BY(shim, call, error_code, text) \
  do {                                                  \
    Error refused = (shim).refusal_of(call);            \
    EXPECT_EQ(refused.code(), Code::error_code);        \
    EXPECT_EQ(refused.what(), std::string(text));       \
  } while (false)

}  // namespace thinshim::test
