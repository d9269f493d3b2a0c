// SPDX-License-Identifier: Apache-2.0
#include "support/task_calls.h"

#include <signal.h>

namespace thinshim::test {
namespace {

Task<> sleep_for(Loop& loop, Duration time) { co_await sleep(loop, time); }

template <class Request>
Request request_for(const std::string& id, const std::string& exec) {
  Request request;
  request.set_id(id);
  request.set_exec_id(exec);
  return request;
}

}  // namespace

void TaskCalls::pass(Duration time) { loop_.run(sleep_for(loop_, time)); }

void TaskCalls::until(const std::function<bool()>& condition) {
  const std::uint64_t end = loop_.now() + static_cast<std::uint64_t>(kLimit.count());
  while (!condition()) {
    if (loop_.now() > end) throw std::runtime_error("this takes too long");
    pass(2ms);
  }
}

CallPtr<api::CreateTaskResponse> TaskCalls::create_begin(api::CreateTaskRequest request,
                                                         Client* by) {
  return begin<api::CreateTaskResponse>("Create", std::move(request), by);
}

CallPtr<api::StartResponse> TaskCalls::start_begin(const std::string& id, const std::string& exec,
                                                   Client* by) {
  return begin<api::StartResponse>("Start", request_for<api::StartRequest>(id, exec), by);
}
pid_t TaskCalls::start(const std::string& id, const std::string& exec) {
  return static_cast<pid_t>(end(start_begin(id, exec)).pid());
}

CallPtr<api::DeleteResponse> TaskCalls::remove_begin(const std::string& id, const std::string& exec,
                                                     Client* by) {
  return begin<api::DeleteResponse>("Delete", request_for<api::DeleteRequest>(id, exec), by);
}
api::DeleteResponse TaskCalls::remove(const std::string& id, const std::string& exec) {
  return end(remove_begin(id, exec));
}

CallPtr<Empty> TaskCalls::kill_begin(const std::string& id, int signal, const std::string& exec,
                                     bool all) {
  auto request = request_for<api::KillRequest>(id, exec);
  request.set_signal(static_cast<std::uint32_t>(signal));
  request.set_all(all);
  return begin<Empty>("Kill", std::move(request));
}
void TaskCalls::kill(const std::string& id, int signal, const std::string& exec, bool all) {
  end(kill_begin(id, signal, exec, all));
}

CallPtr<api::WaitResponse> TaskCalls::wait_begin(const std::string& id, const std::string& exec,
                                                 Client* by) {
  return begin<api::WaitResponse>("Wait", request_for<api::WaitRequest>(id, exec), by);
}
std::uint32_t TaskCalls::wait(const std::string& id, const std::string& exec) {
  return end(wait_begin(id, exec)).exit_status();
}

CallPtr<api::StateResponse> TaskCalls::state_begin(const std::string& id, const std::string& exec) {
  return begin<api::StateResponse>("State", request_for<api::StateRequest>(id, exec));
}
api::StateResponse TaskCalls::state(const std::string& id, const std::string& exec) {
  return end(state_begin(id, exec));
}

CallPtr<api::PidsResponse> TaskCalls::pids_begin(const std::string& id) {
  api::PidsRequest request;
  request.set_id(id);
  return begin<api::PidsResponse>("Pids", std::move(request));
}
CallPtr<Empty> TaskCalls::pause_begin(const std::string& id) {
  api::PauseRequest request;
  request.set_id(id);
  return begin<Empty>("Pause", std::move(request));
}
CallPtr<Empty> TaskCalls::resume_begin(const std::string& id) {
  api::ResumeRequest request;
  request.set_id(id);
  return begin<Empty>("Resume", std::move(request));
}
CallPtr<Empty> TaskCalls::update_begin(const std::string& id, const std::string& resources) {
  api::UpdateTaskRequest request;
  request.set_id(id);
  request.mutable_resources()->set_type_url(
      "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources");
  request.mutable_resources()->set_value(resources);
  return begin<Empty>("Update", std::move(request));
}
CallPtr<Empty> TaskCalls::checkpoint_begin(const std::string& id, const std::string& path,
                                           const containerd::runc::v1::CheckpointOptions& options) {
  api::CheckpointTaskRequest request;
  request.set_id(id);
  request.set_path(path);
  set_options(request, options);
  return begin<Empty>("Checkpoint", std::move(request));
}
CallPtr<api::StatsResponse> TaskCalls::stats_begin(const std::string& id) {
  api::StatsRequest request;
  request.set_id(id);
  return begin<api::StatsResponse>("Stats", std::move(request));
}
CallPtr<api::ConnectResponse> TaskCalls::connect_begin(const std::string& id) {
  api::ConnectRequest request;
  request.set_id(id);
  return begin<api::ConnectResponse>("Connect", std::move(request));
}
CallPtr<Empty> TaskCalls::close_begin(const std::string& id, const std::string& exec) {
  auto request = request_for<api::CloseIORequest>(id, exec);
  request.set_stdin(true);
  return begin<Empty>("CloseIO", std::move(request));
}
CallPtr<Empty> TaskCalls::resize_begin(const std::string& id, const std::string& exec,
                                       unsigned width, unsigned height) {
  auto request = request_for<api::ResizePtyRequest>(id, exec);
  request.set_width(width);
  request.set_height(height);
  return begin<Empty>("ResizePty", std::move(request));
}
void TaskCalls::shutdown() { call<Empty>("Shutdown", api::ShutdownRequest()); }

void TaskCalls::end_container(const std::string& id) {
  kill(id, SIGKILL);
  wait(id);
  remove(id);
}

}  // namespace thinshim::test
