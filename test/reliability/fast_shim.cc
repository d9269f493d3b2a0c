// SPDX-License-Identifier: Apache-2.0
#include "reliability/fast_shim.h"

#include <cstdlib>

#include "base/file.h"
#include "runc_options.pb.h"

namespace thinshim::test {

api::CreateTaskRequest FastShimTest::fast_request(const std::string& id,
                                                  const std::string& runtime) const {
  api::CreateTaskRequest request;
  request.set_id(id);
  request.set_bundle(bundle(id));
  containerd::runc::v1::Options options;
  options.set_binary_name(runtime);
  set_options(request, options);
  return request;
}

std::unique_ptr<TaskCalls> FastShimTest::run_fast(const std::string& id, const Words& args) {
  ContainerConfig config;
  config.args = args;
  std::unique_ptr<TaskCalls> shim = start_shim(id, config);
  shim->end(shim->create_begin(fast_request(id)));
  shim->start(id);
  return shim;
}

Task<FastShimTest::ExecLife> FastShimTest::run_exec(TaskCalls& shim,
                                                    api::ExecProcessRequest request, int signal,
                                                    Duration until_signal) {
  const std::string id = request.id(), exec_id = request.exec_id();
  // Most requests begin with these two fields.
  const auto named = [&](auto message) {
    message.set_id(id);
    message.set_exec_id(exec_id);
    return message;
  };
  co_await shim.ask<Empty>("Exec", request);
  CallPtr<api::WaitResponse> waiting = shim.wait_begin(id, exec_id);
  const api::StartResponse started =
      co_await shim.ask<api::StartResponse>("Start", named(api::StartRequest()));
  if (signal != 0) {
    co_await sleep(loop_, until_signal);
    api::KillRequest killing = named(api::KillRequest());
    killing.set_signal(static_cast<std::uint32_t>(signal));
    co_await shim.ask<Empty>("Kill", killing);
  }
  co_await waiting->done.wait();
  if (waiting->error) throw *waiting->error;
  const api::StateResponse state =
      co_await shim.ask<api::StateResponse>("State", named(api::StateRequest()));
  const api::DeleteResponse removed =
      co_await shim.ask<api::DeleteResponse>("Delete", named(api::DeleteRequest()));

  const std::uint32_t status = waiting->response->exit_status();
  const std::int64_t exited_at = nanoseconds(waiting->response->exited_at());
  EXPECT_EQ(state.status(), types::STOPPED) << exec_id;
  EXPECT_EQ(state.exit_status(), status) << exec_id;
  EXPECT_EQ(removed.exit_status(), status) << exec_id;
  EXPECT_GT(exited_at, 0) << exec_id;
  EXPECT_EQ(nanoseconds(state.exited_at()), exited_at) << exec_id;
  EXPECT_EQ(nanoseconds(removed.exited_at()), exited_at) << exec_id;
  EXPECT_EQ(state.pid(), started.pid()) << exec_id;
  EXPECT_EQ(removed.pid(), started.pid()) << exec_id;
  co_return ExecLife{static_cast<pid_t>(started.pid()), status, exited_at};
}

// AddressSanitizer reserves terabytes.
bool FastShimTest::has_measurable_memory(pid_t pid) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status").value_or("");
  const std::size_t size = status.find("VmSize:");
  return size != std::string::npos && std::atol(status.c_str() + size + 7) < 1 << 30;  // kB
}

}  // namespace thinshim::test
