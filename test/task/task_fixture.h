// SPDX-License-Identifier: Apache-2.0
// The Task API in this process, with the fake runtime behind it and clients on a socket before it,
// as containerd has them. After each test nothing is left: no child, no descriptor, no handle of
// the loop, no mount.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "process/reaper.h"
#include "runc_options.pb.h"
#include "support/fake_runtime.h"
#include "support/temp_dir.h"
#include "task.pb.h"
#include "task/events.h"
#include "task/service.h"
#include "task_events.pb.h"
#include "ttrpc/client.h"
#include "ttrpc/server.h"

namespace thinshim::test {

using namespace std::chrono_literals;
using wire::Empty;
namespace events = containerd::events;

inline constexpr const char* kService = "containerd.task.v3.Task";

using Lines = std::vector<std::string>;

inline bool contains(const Error& error, const std::string& words) {
  return std::string(error.what()).find(words) != std::string::npos;
}

// Keeps what is published.
class RecordingSink : public EventSink {
 public:
  void publish(const char* topic, const google::protobuf::MessageLite& event) override;

  // "exit c1 e1 7" and the like: topic, container, exec, status, as far as an event has them. An
  // exit of init has no exec.
  Lines history() const;
  // Only those of one container.
  Lines history_of(const std::string& container) const;
  // The `index`th event of a topic.
  template <class Message>
  Message get(const std::string& topic, std::size_t index = 0) const {
    Message message;
    for (const auto& [name, bytes] : events_)
      if (name == topic && index-- == 0) message.ParseFromString(bytes);
    return message;
  }
  std::size_t count(const std::string& topic) const;

 private:
  std::vector<std::pair<std::string, std::string>> events_;
};

// A call under way.
template <class Response>
struct Call {
  Event done;
  std::optional<Response> response;
  std::optional<Error> error;
};
template <class Response>
using CallPtr = std::shared_ptr<Call<Response>>;

// What a test that works never waits for.
inline constexpr Duration kLimit = 60s;

class TaskTest : public testing::Test {
 protected:
  TaskTest();
  void TearDown() override;

  // --- the loop
  template <class T>
  T await(Task<T> task) {
    std::optional<T> result = loop.run(within(loop, kLimit, std::move(task)));
    if (!result) throw std::runtime_error("this takes too long");
    return std::move(*result);
  }
  void await(Task<> task) {
    if (!loop.run(within(loop, kLimit, std::move(task))))
      throw std::runtime_error("this takes too long");
  }
  void pass(Duration time);
  // Runs the loop until it is so; throws where it never is.
  void until(const std::function<bool()>& condition);
  void until_called(const std::string& call, std::size_t times = 1);

  // --- calls
  template <class Response, class Request>
  static Task<> run_call(Client& client, std::string method, Request request,
                         CallPtr<Response> call) {
    try {
      call->response = co_await client.call<Response>(kService, method, request, 0ms);
    } catch (const Error& error) {
      call->error = error;
    }
    call->done.set();
  }
  template <class Response, class Request>
  CallPtr<Response> begin(const std::string& method, Request request, Client* by = nullptr) {
    auto call = std::make_shared<Call<Response>>();
    calls.spawn(run_call<Response>(by ? *by : client, method, std::move(request), call), method);
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
  // How it was refused; fails the test where it wasn't.
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

  // --- the Task API, in short. Names ending in _begin don't wait.
  std::string make_bundle(const std::string& id, bool own_pid_namespace = true);
  api::CreateTaskRequest create_request(const std::string& id);
  CallPtr<api::CreateTaskResponse> create_begin(api::CreateTaskRequest request,
                                                Client* by = nullptr);
  pid_t create(const std::string& id, bool own_pid_namespace = true);
  CallPtr<api::StartResponse> start_begin(const std::string& id, const std::string& exec = "",
                                          Client* by = nullptr);
  pid_t start(const std::string& id, const std::string& exec = "");
  CallPtr<Empty> exec_begin(const std::string& id, const std::string& exec,
                            const std::string& shell);
  void exec(const std::string& id, const std::string& exec, const std::string& shell);
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
  CallPtr<api::ConnectResponse> connect_begin(const std::string& id);
  void shutdown();

  // A running container, or exec.
  pid_t run(const std::string& id, bool own_pid_namespace = true);
  pid_t run_exec(const std::string& id, const std::string& exec, const std::string& shell);
  // Ends and deletes what run() made.
  void end_container(const std::string& id);
  std::unique_ptr<Client> another_client();

  // What is there below this process, zombies included.
  static std::vector<pid_t> children();
  static Lines descriptors();
  Lines mounts() const;

  Lines descriptors_before = descriptors_with_libuv();
  TempDir directory;
  FakeRuntime runtime;
  Loop loop;
  std::optional<Reaper> reaper{loop};
  RecordingSink sink;
  int shutdowns = 0;
  // What clients send for options is taken for this.
  RuncOptions options;
  std::optional<TaskService> service;
  std::optional<Server> server{loop};
  TaskSet serving;
  std::string socket = directory / "socket";
  Client client{loop, socket};
  TaskSet calls;

 private:
  static Lines descriptors_with_libuv();
};

// EXPECT_REFUSED(state_begin("x"), not_found, "container not created: not found");
#define EXPECT_REFUSED(call, error_code, text)    \
  do {                                            \
    Error refused = refusal_of(call);             \
    EXPECT_EQ(refused.code(), Code::error_code);  \
    EXPECT_EQ(refused.what(), std::string(text)); \
  } while (false)

}  // namespace thinshim::test
