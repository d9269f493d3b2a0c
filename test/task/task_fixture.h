// SPDX-License-Identifier: Apache-2.0
// The Task API in this process, with the fake runtime and with clients on a socket, as containerd
// has them. After each test nothing may be left: no child, no descriptor, no handle of the loop, no
// mount.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async/loop.h"
#include "base/proc.h"
#include "process/reaper.h"
#include "runc_options.pb.h"
#include "support/fake_runtime.h"
#include "support/task_calls.h"
#include "support/temp_dir.h"
#include "task/events.h"
#include "task/service.h"
#include "task_events.pb.h"
#include "ttrpc/server.h"

namespace thinshim::test {

namespace events = containerd::events;

// Records the published events.
class RecordingSink : public EventSink {
 public:
  void publish(const char* topic, const google::protobuf::MessageLite& event) override;

  // "exit c1 e1 7" and the like: topic, container, exec, status, if the event has them. An exit of
  // init has no exec.
  Lines history() const;
  // Those of one container.
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

// Must be constructed before TaskTest's other base.
struct TaskTestGround {
  static Lines descriptors();

  Lines descriptors_before = descriptors_with_libuv();
  TempDir directory;
  std::string socket = directory / "socket";
  Loop loop;

 private:
  static Lines descriptors_with_libuv();
};

class TaskTest : public testing::Test, protected TaskTestGround, protected TaskCalls {
 protected:
  // How long a runtime may run after its client has disconnected.
  static constexpr std::chrono::milliseconds kGracePeriod = 3s;
  // How long the shim stays after its last container, if Shutdown was called before.
  static constexpr std::chrono::milliseconds kShutdownDelay = 1s;
  // How long it waits for a container that `start` has announced.
  static constexpr std::chrono::milliseconds kExpectTimeout = 600ms;

  explicit TaskTest(Duration deletion = std::chrono::minutes(1));
  void TearDown() override;

  void until_called(const std::string& call, std::size_t times = 1);

  std::string make_bundle(const std::string& id, bool own_pid_namespace = true);
  api::CreateTaskRequest create_request(const std::string& id);
  // The same with a root file system to mount.
  api::CreateTaskRequest request_with_mount(const std::string& id);
  pid_t create(const std::string& id, bool own_pid_namespace = true);
  CallPtr<Empty> exec_begin(const std::string& id, const std::string& exec,
                            const std::string& shell);
  void exec(const std::string& id, const std::string& exec, const std::string& shell);
  // A running container, or exec.
  pid_t run(const std::string& id, bool own_pid_namespace = true);
  pid_t run_exec(const std::string& id, const std::string& exec, const std::string& shell);
  std::unique_ptr<Client> another_client();

  Lines mounts() const;

  FakeRuntime runtime;
  std::optional<Reaper> reaper{loop};
  RecordingSink sink;
  int shutdowns = 0;
  // The options for any request: the defaults, but for the runtime.
  TaskService::Options options;
  std::optional<TaskService> service_under_test;
  std::optional<Server> server{loop};
  TaskSet serving;
};

}  // namespace thinshim::test
