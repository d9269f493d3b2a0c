// SPDX-License-Identifier: Apache-2.0
#include "task/task_fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

namespace thinshim::test {
namespace {

constexpr const char* kNamespace = "test";

template <class Message>
std::string line_of(const std::string& name, const std::string& bytes,
                    const std::function<std::string(const Message&)>& rest) {
  Message event;
  EXPECT_TRUE(event.ParseFromString(bytes));
  return name + " " + event.container_id() + rest(event);
}

Fd listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd listener(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  check(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  check(::listen(listener.get(), SOMAXCONN), "listen");
  return listener;
}

std::string describe(const std::string& topic, const std::string& bytes) {
  const std::string name = topic.substr(topic.rfind('/') + 1);
  if (topic == kTopicCreate)
    return line_of<events::TaskCreate>(name, bytes, [](const auto&) { return ""; });
  if (topic == kTopicStart)
    return line_of<events::TaskStart>(name, bytes, [](const auto&) { return ""; });
  if (topic == kTopicExecAdded)
    return line_of<events::TaskExecAdded>(name, bytes,
                                          [](const auto& event) { return " " + event.exec_id(); });
  if (topic == kTopicExecStarted)
    return line_of<events::TaskExecStarted>(
        name, bytes, [](const auto& event) { return " " + event.exec_id(); });
  if (topic == kTopicExit)
    return line_of<events::TaskExit>(name, bytes, [](const auto& event) {
      std::string exec = event.id() == event.container_id() ? "" : " " + event.id();
      return exec + " " + std::to_string(event.exit_status());
    });
  if (topic == kTopicDelete)
    return line_of<events::TaskDelete>(
        name, bytes, [](const auto& event) { return " " + std::to_string(event.exit_status()); });
  return topic;
}

}  // namespace

void RecordingSink::publish(const char* topic, const google::protobuf::MessageLite& event) {
  events_.emplace_back(topic, event.SerializeAsString());
}

std::vector<std::string> RecordingSink::history() const {
  std::vector<std::string> lines;
  for (const auto& [topic, bytes] : events_) lines.push_back(describe(topic, bytes));
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

TaskTest::TaskTest() {
  options.set_binary_name(runtime.binary());
  options.set_root(runtime.root());
  TaskService::Settings settings;
  settings.containerd_namespace = kNamespace;
  settings.address = "unix://" + socket;
  settings.read_options = [this](const wire::Any&) { return options; };
  settings.shut_down = [this] { ++shutdowns; };
  service.emplace(*reaper, sink, std::move(settings));
  service->serve(*server);
  serving.spawn(server->serve(listen_at(socket)), "serve");
}

void TaskTest::TearDown() {
  // What a test has not ended itself goes first, as long as somebody reaps it.
  for (pid_t pid : children()) ::kill(pid, SIGKILL);
  until([] { return children().empty(); });
  calls.cancel();
  client.close();
  pass(1ms);
  serving.cancel();
  server.reset();
  service.reset();
  reaper.reset();
  EXPECT_EQ(loop.close(), 0) << "the loop still owns handles";
  EXPECT_EQ(descriptors(), descriptors_before);
  EXPECT_EQ(mounts(), std::vector<std::string>());
}

namespace {
Task<> sleep_for(Loop& loop, Duration time) { co_await sleep(loop, time); }
}  // namespace

void TaskTest::pass(Duration time) { loop.run(sleep_for(loop, time)); }

void TaskTest::until(const std::function<bool()>& condition) {
  const std::uint64_t end = loop.now() + static_cast<std::uint64_t>(kLimit.count());
  while (!condition()) {
    if (loop.now() > end) throw std::runtime_error("this takes too long");
    pass(2ms);
  }
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

CallPtr<api::CreateTaskResponse> TaskTest::create_begin(api::CreateTaskRequest request,
                                                        Client* by) {
  return begin<api::CreateTaskResponse>("Create", std::move(request), by);
}

pid_t TaskTest::create(const std::string& id, bool own_pid_namespace) {
  make_bundle(id, own_pid_namespace);
  return static_cast<pid_t>(end(create_begin(create_request(id))).pid());
}

namespace {
template <class Request>
Request request_for(const std::string& id, const std::string& exec) {
  Request request;
  request.set_id(id);
  request.set_exec_id(exec);
  return request;
}
}  // namespace

CallPtr<api::StartResponse> TaskTest::start_begin(const std::string& id, const std::string& exec,
                                                  Client* by) {
  return begin<api::StartResponse>("Start", request_for<api::StartRequest>(id, exec), by);
}
pid_t TaskTest::start(const std::string& id, const std::string& exec) {
  return static_cast<pid_t>(end(start_begin(id, exec)).pid());
}

CallPtr<Empty> TaskTest::exec_begin(const std::string& id, const std::string& exec,
                                    const std::string& shell) {
  auto request = request_for<api::ExecProcessRequest>(id, exec);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value("{\"args\":[\"" + shell + "\"],\"cwd\":\"/\"}");
  return begin<Empty>("Exec", std::move(request));
}
void TaskTest::exec(const std::string& id, const std::string& exec, const std::string& shell) {
  end(exec_begin(id, exec, shell));
}

CallPtr<api::DeleteResponse> TaskTest::remove_begin(const std::string& id, const std::string& exec,
                                                    Client* by) {
  return begin<api::DeleteResponse>("Delete", request_for<api::DeleteRequest>(id, exec), by);
}
api::DeleteResponse TaskTest::remove(const std::string& id, const std::string& exec) {
  return end(remove_begin(id, exec));
}

CallPtr<Empty> TaskTest::kill_begin(const std::string& id, int signal, const std::string& exec,
                                    bool all) {
  auto request = request_for<api::KillRequest>(id, exec);
  request.set_signal(static_cast<std::uint32_t>(signal));
  request.set_all(all);
  return begin<Empty>("Kill", std::move(request));
}
void TaskTest::kill(const std::string& id, int signal, const std::string& exec, bool all) {
  end(kill_begin(id, signal, exec, all));
}

CallPtr<api::WaitResponse> TaskTest::wait_begin(const std::string& id, const std::string& exec,
                                                Client* by) {
  return begin<api::WaitResponse>("Wait", request_for<api::WaitRequest>(id, exec), by);
}
std::uint32_t TaskTest::wait(const std::string& id, const std::string& exec) {
  return end(wait_begin(id, exec)).exit_status();
}

CallPtr<api::StateResponse> TaskTest::state_begin(const std::string& id, const std::string& exec) {
  return begin<api::StateResponse>("State", request_for<api::StateRequest>(id, exec));
}
api::StateResponse TaskTest::state(const std::string& id, const std::string& exec) {
  return end(state_begin(id, exec));
}

CallPtr<api::PidsResponse> TaskTest::pids_begin(const std::string& id) {
  api::PidsRequest request;
  request.set_id(id);
  return begin<api::PidsResponse>("Pids", std::move(request));
}
CallPtr<api::ConnectResponse> TaskTest::connect_begin(const std::string& id) {
  api::ConnectRequest request;
  request.set_id(id);
  return begin<api::ConnectResponse>("Connect", std::move(request));
}
void TaskTest::shutdown() { call<Empty>("Shutdown", api::ShutdownRequest()); }

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
void TaskTest::end_container(const std::string& id) {
  kill(id, SIGKILL);
  wait(id);
  remove(id);
}

std::unique_ptr<Client> TaskTest::another_client() {
  return std::make_unique<Client>(loop, socket);
}

std::vector<pid_t> TaskTest::children() {
  std::vector<pid_t> found;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t pid; list >> pid;) found.push_back(pid);
  return found;
}

std::vector<std::string> TaskTest::descriptors() {
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
std::vector<std::string> TaskTest::descriptors_with_libuv() {
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
