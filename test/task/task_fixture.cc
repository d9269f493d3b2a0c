// SPDX-License-Identifier: Apache-2.0
#include "task/task_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>

#include "shim/options.h"
#include "support/at_once.h"
#include "support/event_line.h"
#include "support/unix_socket.h"

namespace thinshim::test {
namespace {

constexpr const char* kNamespace = "test";

TaskService::Options default_options(const FakeRuntime& runtime) {
  Config config;
  config.task.runtime.binary = runtime.binary();
  config.task.runtime.root = runtime.root();
  return task_options(resolve_options({}, config));
}

}  // namespace

void RecordingSink::publish(const char* topic, const google::protobuf::MessageLite& event) {
  events_.emplace_back(topic, event.SerializeAsString());
}

std::vector<std::string> RecordingSink::history() const {
  std::vector<std::string> lines;
  for (const auto& [topic, bytes] : events_) lines.push_back(event_line(topic, bytes));
  return lines;
}

std::vector<std::string> RecordingSink::history_of(const std::string& container) const {
  std::vector<std::string> lines;
  for (const std::string& line : history()) {
    const std::size_t begin = line.find(' ') + 1;
    if (line.substr(begin, line.find(' ', begin) - begin) == container) lines.push_back(line);
  }
  return lines;
}

std::size_t RecordingSink::count(const std::string& topic) const {
  return static_cast<std::size_t>(std::count_if(
      events_.begin(), events_.end(), [&](const auto& event) { return event.first == topic; }));
}

TaskTest::TaskTest(Duration deletion) : TaskCalls(loop, socket), options(default_options(runtime)) {
  ::signal(SIGPIPE, SIG_IGN);  // as in the shim
  TaskService::Settings settings;
  settings.containerd_namespace = kNamespace;
  settings.address = "unix://" + socket;
  settings.read_options = [this](const wire::Any&, const auto&) { return at_once(options); };
  settings.grace_period = kGracePeriod;
  settings.lifetime.shutdown_delay = kShutdownDelay;
  settings.lifetime.expect_timeout = kExpectTimeout;
  settings.lifetime.end = [this] { ++shutdowns; };
  settings.deletion = deletion;
  service_under_test.emplace(*reaper, sink, std::move(settings));
  service_under_test->serve(*server);
  serving.spawn(server->serve(listen_at(socket)), "serve");
}

void TaskTest::TearDown() {
  // Ends the test's remaining processes while there is a reaper.
  for (pid_t pid : own_children()) ::kill(pid, SIGKILL);
  until([] { return own_children().empty(); });
  calls.cancel();
  client.close();
  pass(1ms);
  serving.cancel();
  server.reset();
  service_under_test.reset();
  reaper.reset();
  EXPECT_EQ(loop.close(), 0) << "the loop still owns handles";
  EXPECT_EQ(descriptors(), descriptors_before);
  EXPECT_EQ(mounts(), std::vector<std::string>());
}

void TaskTest::until_called(const std::string& call, std::size_t times) {
  until([&] {
    const std::vector<std::string> calls_so_far = runtime.calls();
    return static_cast<std::size_t>(std::count(calls_so_far.begin(), calls_so_far.end(), call)) >=
           times;
  });
}

std::string TaskTest::make_bundle(const std::string& id, bool own_pid_namespace) {
  const std::string bundle = directory / id;
  std::filesystem::create_directories(bundle + "/rootfs");
  std::ofstream(bundle + "/config.json")
      << R"({"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"mount"})"
      << (own_pid_namespace ? R"(,{"type":"pid"})" : "") << "]}}";
  return bundle;
}

api::CreateTaskRequest TaskTest::create_request(const std::string& id) {
  api::CreateTaskRequest request;
  request.set_id(id);
  request.set_bundle(directory / id);
  return request;
}

api::CreateTaskRequest TaskTest::request_with_mount(const std::string& id) {
  api::CreateTaskRequest request = create_request(id);
  containerd::types::Mount* mount = request.add_rootfs();
  mount->set_type("tmpfs");
  mount->set_source("tmpfs");
  return request;
}

pid_t TaskTest::create(const std::string& id, bool own_pid_namespace) {
  make_bundle(id, own_pid_namespace);
  return static_cast<pid_t>(end(create_begin(create_request(id))).pid());
}

CallPtr<Empty> TaskTest::exec_begin(const std::string& id, const std::string& exec,
                                    const std::string& shell) {
  api::ExecProcessRequest request;
  request.set_id(id);
  request.set_exec_id(exec);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value("{\"args\":[\"" + shell + "\"],\"cwd\":\"/\"}");
  return begin<Empty>("Exec", std::move(request));
}
void TaskTest::exec(const std::string& id, const std::string& exec, const std::string& shell) {
  end(exec_begin(id, exec, shell));
}

pid_t TaskTest::run(const std::string& id, bool own_pid_namespace) {
  const pid_t pid = create(id, own_pid_namespace);
  EXPECT_EQ(start(id), pid);
  return pid;
}
pid_t TaskTest::run_exec(const std::string& id, const std::string& exec_id,
                         const std::string& shell) {
  exec(id, exec_id, shell);
  return start(id, exec_id);
}
std::unique_ptr<Client> TaskTest::another_client() {
  return std::make_unique<Client>(loop, socket);
}

std::vector<std::string> TaskTestGround::descriptors() {
  std::vector<std::string> found;
  std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir("/proc/self/fd"), ::closedir);
  while (const dirent* entry = ::readdir(open.get())) {
    char target[256];
    const std::string path = std::string("/proc/self/fd/") + entry->d_name;
    const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
    if (size > 0 && std::stoi(entry->d_name) != ::dirfd(open.get()))
      found.push_back(std::string(target, static_cast<std::size_t>(size)));
  }
  std::sort(found.begin(), found.end());
  return found;
}

// libuv's first loop opens descriptors that stay for the life of the process.
std::vector<std::string> TaskTestGround::descriptors_with_libuv() {
  Loop().close();
  return descriptors();
}

std::vector<std::string> TaskTest::mounts() const {
  std::vector<std::string> found;
  std::ifstream list("/proc/self/mountinfo");
  for (std::string line; std::getline(list, line);)
    if (line.find(directory.path() + "/") != std::string::npos) found.push_back(line);
  return found;
}

}  // namespace thinshim::test
