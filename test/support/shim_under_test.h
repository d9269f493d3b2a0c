// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/loop.h"
#include "events.pb.h"
#include "support/end_to_end.h"
#include "support/leftovers.h"
#include "support/subprocess.h"
#include "support/task_calls.h"
#include "ttrpc/server.h"

namespace thinshim::test {

// The content of a container's config.json.
struct ContainerConfig {
  Words args = {"/bin/sleep", "1000"};
  bool terminal = false;
  bool own_pid_namespace = true;
  std::map<std::string, std::string> annotations;
  std::string cgroups_path;  // empty: one of its own, in the form that the runtime takes
  std::string rootfs;        // empty: the busybox tree
  // A user namespace whose ids 0 to 65535 are the host's from here on; 0: none.
  unsigned first_host_id = 0;
};

// The test acts as containerd: it makes bundles, runs the shim $THINSHIM_BINARY with `start` and
// `delete`, calls it with the project's ttrpc client, and receives its events. The runtime is runc.
// After each test, nothing of that may be left.
class ShimTest : public ::testing::Test {
 protected:
  ShimTest();
  void SetUp() override;
  void TearDown() override;

  // --- bundles
  std::filesystem::path bundle(const std::string& id) const { return bundles_ / id; }
  void make_bundle(const std::string& id, const ContainerConfig& config = {});
  std::string read(const std::filesystem::path& file) const;
  // What was written to the bundle's log so far.
  std::string log_of(const std::string& id);

  // --- the binary
  // The environment and the flags that containerd passes, followed by `more` flags and the action.
  SubprocessOptions surroundings(const std::string& id) const;
  Words command(const std::string& id, const Words& more) const;
  // Runs the action `start` in the bundle.
  Outcome start(const std::string& id, const std::string& input = "", const Words& flags = {});
  // Runs the action `delete` as containerd does.
  Outcome cleanup(const std::string& id);
  std::filesystem::path grpc_address() const { return directory_ / "containerd.sock"; }
  // What containerd 2.3 and later write on stdin.
  std::string bootstrap_params(const std::string& id, int log_level = 0,
                               const std::string& socket_directory = "") const;

  // --- shims
  // Makes a bundle and starts a shim for it.
  std::unique_ptr<TaskCalls> start_shim(const std::string& id, const ContainerConfig& config = {});
  std::unique_ptr<TaskCalls> connect(const std::string& address);
  Process only_shim() const;
  // Calls Shutdown and waits for the exit. All containers must be deleted.
  void end_shim(TaskCalls& shim);

  // --- containers
  api::CreateTaskRequest create_request(const std::string& id) const;
  pid_t create(TaskCalls& shim, const std::string& id);
  pid_t run(TaskCalls& shim, const std::string& id);
  static api::ExecProcessRequest exec_request(const std::string& id, const std::string& exec_id,
                                              const Words& args,
                                              api::ExecProcessRequest request = {});
  void exec(TaskCalls& shim, const std::string& id, const std::string& exec_id, const Words& args,
            api::ExecProcessRequest request = {});
  std::filesystem::path make_fifo(const std::string& name) const;
  // Reads up to end of file, while the loop runs.
  std::string read_all(TaskCalls& shim, int fd) const;

  // --- events: "exit c1 e1 7", of all shims
  Lines history() const;
  // Stop and start the event server, like a restart of containerd.
  void stop_events();
  void serve_events();
  // Called before each event is accepted; may wait, or throw to refuse it.
  virtual Task<> before_event() { co_return; }

  std::string namespace_;
  std::filesystem::path directory_;
  std::filesystem::path bundles_;
  std::filesystem::path binary_;
  Loop loop_;
  std::vector<containerd::services::events::ttrpc::v1::ForwardRequest> forwarded_;

 private:
  using ForwardRequest = containerd::services::events::ttrpc::v1::ForwardRequest;
  Task<Empty> forward(ForwardRequest request);

  struct Log {
    Fd fifo;
    std::string text;
  };
  std::map<std::string, Log> logs_;
  std::optional<Leftovers> leftovers_;
  std::optional<Server> events_;
  TaskSet serving_;
};

}  // namespace thinshim::test
