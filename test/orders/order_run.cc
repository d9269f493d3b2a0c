// SPDX-License-Identifier: Apache-2.0
#include "orders/order_run.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/proc.h"
#include "shim/config.h"
#include "support/at_once.h"
#include "support/unix_socket.h"
#include "task.pb.h"

namespace thinshim::orders {
namespace {

// Beside this program. Read at startup: later the program is in a chroot of its own.
const std::string kRuntime = join_path(directory_of(read_link("/proc/self/exe").value()), "runc");

using namespace std::chrono_literals;
using wire::Empty;
namespace api = containerd::task::v3;

constexpr Duration kStep = 6s;
// Longer than all limits of the service together.
constexpr Duration kAllLimits = 200s;

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

template <class Message>
Message about(Role role) {
  Message message;
  message.set_id(kContainer);
  message.set_exec_id(exec_id_of(role));
  return message;
}

template <class Message>
Message about_container() {
  Message message;
  message.set_id(kContainer);
  return message;
}

api::KillRequest kill_request(Role role) {
  auto request = about<api::KillRequest>(role);
  request.set_signal(SIGKILL);
  return request;
}

template <class Response>
void take_pid(const Response& response, Entry& entry) {
  if constexpr (requires { response.pid(); }) entry.pid = static_cast<pid_t>(response.pid());
}
template <class Response>
void take_end(const Response& response, Entry& entry) {
  if constexpr (requires { response.exited_at(); }) {
    const auto& at = response.exited_at();
    if (at.seconds() > 0)
      entry.exit = ExitInfo{static_cast<int>(response.exit_status()),
                            at.seconds() * 1'000'000'000 + at.nanos()};
  }
}
template <class Response>
void take_state(const Response& response, Entry& entry) {
  if constexpr (requires { response.status(); }) {
    constexpr const char* kNames[] = {"unknown", "created", "running",
                                      "stopped", "paused",  "pausing"};
    entry.state = kNames[response.status()];
  }
}

}  // namespace

void prepare_process() {
  ::signal(SIGPIPE, SIG_IGN);  // as the shim has it
  Loop().close();              // libuv keeps some descriptors of its first loop
}

OrderRun::OrderRun(const Setup& setup, const std::string& directory)
    : setup_(setup), directory_(directory), descriptors_before_(open_descriptors()) {
  trace_.own_pid_namespace = setup.own_pid_namespace;
  trace_.signals = setup.signals;
  const std::string bundle = directory + "/bundle";
  make_directories(bundle + "/rootfs", 0700);
  make_directories(directory + "/root/orders", 0700);
  write_file(bundle + "/config.json",
             std::string(R"({"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"mount"})") +
                 (setup.own_pid_namespace ? R"(,{"type":"pid"})" : "") + "]}}",
             0600);
  loop_.emplace();
  ::setenv("ORDERS_SOCKET", (directory + "/runtime").c_str(), 1);
  runtime_.emplace(
      *loop_,
      ScriptedRuntime::Settings{directory + "/runtime", directory + "/root/orders/" + kContainer,
                                setup.own_pid_namespace, setup.signals},
      [this](Entry entry) { write(std::move(entry)); });
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  trace_.wall = wall.tv_sec * 1'000'000'000 + wall.tv_nsec;
  reaper_.emplace(*loop_);
  sink_.emplace([this](Entry entry) { write(std::move(entry)); });
  service_.emplace(*reaper_, *sink_, settings(directory));
  server_.emplace(*loop_);
  service_->serve(*server_);
  serving_.spawn(server_->serve(test::listen_at(directory + "/socket")), "serve");
  client_.emplace(*loop_, directory + "/socket");
  observer_.emplace(*loop_, directory + "/socket");
  for (const Step& step : setup.steps) perform(step);
}

OrderRun::~OrderRun() {
  // The calls use the server.
  calls_.cancel();
  serving_.cancel();
}

// The defaults of the configuration.
TaskService::Settings OrderRun::settings(const std::string& directory) {
  TaskService::Settings made;
  made.containerd_namespace = "orders";
  made.address = "unix://" + directory + "/socket";
  made.read_options = [directory](const wire::Any&, const auto&) {
    const Config config;
    TaskService::Options options{
        {}, {}, signals_directly(config.task.runtime), config.task.signal_delay};
    options.runc.set_binary_name(kRuntime);
    options.runc.set_root(directory + "/root");
    options.stdio.pipe_size = config.task.stdio.pipe_size;
    options.stdio.drain_timeout = config.task.stdio.drain_timeout;
    return test::at_once(std::move(options));
  };
  made.deletion += Config().task.stdio.drain_timeout;
  made.lifetime.end = [] {};
  return made;
}

void OrderRun::write(Entry entry) {
  entry.ms = virtual_ms();
  if (entry.kind == Kind::event) {
    if (entry.verb == "create") created_ = true;
    if (entry.verb == "exec-added") added_[entry.role] = true;
    if (entry.verb == "delete") deleted_ = true;
  }
  trace_.entries.push_back(std::move(entry));
}

// --- requests

// Returns whether the call succeeded.
template <class Response, class Message>
Task<bool> OrderRun::call(Client& client, std::string verb, Role role, Message message) {
  const int number = ++last_request_;
  pending_[number] = {verb, role, &client == &*observer_};
  write({.kind = Kind::request, .verb = verb, .role = role, .number = number});
  Entry answer{.kind = Kind::answer, .verb = verb, .role = role, .number = number};
  try {
    Response response =
        co_await client.call<Response>("containerd.task.v3.Task", verb, message, Duration(0));
    take_pid(response, answer);
    take_end(response, answer);
    take_state(response, answer);
  } catch (const Error& error) {
    answer.code = error.code();
    answer.text = error.what();
    if (error.code() == Code::unavailable) answer.kind = Kind::disconnected;
  }
  pending_.erase(number);
  if (verb == "Wait" && answer.code != Code::ok) waits_[role] = false;  // observe() repeats it
  const bool succeeded = answer.code == Code::ok;
  if (role == Role::init) failed_[verb] = !succeeded && answer.kind == Kind::answer;
  write(std::move(answer));
  co_return succeeded;
}

Task<> drop_result(Task<bool> task) { co_await std::move(task); }

template <class Response, class Message>
void OrderRun::spawn(Client& client, std::string verb, Role role, Message message) {
  Task<bool> pending = call<Response>(client, verb, role, std::move(message));
  calls_.spawn(drop_result(std::move(pending)), std::move(verb));
}

Task<> OrderRun::call_exec(Role role) {
  auto request = about<api::ExecProcessRequest>(role);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value(R"({"args":["exec"],"cwd":"/"})");
  const bool added = co_await call<Empty>(*client_, "Exec", role, std::move(request));
  if (!added) co_return;
  auto start = about<api::StartRequest>(role);
  co_await call<api::StartResponse>(*client_, "Start", role, std::move(start));
}

void OrderRun::spawn_request(const Step& step) {
  switch (step.act) {
    case Act::create: {
      auto request = about_container<api::CreateTaskRequest>();
      request.set_bundle(directory_ + "/bundle");
      return spawn<api::CreateTaskResponse>(*client_, "Create", step.role, std::move(request));
    }
    case Act::start:
      return spawn<api::StartResponse>(*client_, "Start", step.role,
                                       about<api::StartRequest>(step.role));
    case Act::exec:
      return calls_.spawn(call_exec(step.role), "exec");
    case Act::kill:
      return spawn<Empty>(*client_, "Kill", step.role, kill_request(step.role));
    case Act::pause:
      return spawn<Empty>(*client_, "Pause", step.role, about_container<api::PauseRequest>());
    case Act::resume:
      return spawn<Empty>(*client_, "Resume", step.role, about_container<api::ResumeRequest>());
    case Act::delete_it:
      return spawn<api::DeleteResponse>(*client_, "Delete", step.role,
                                        about<api::DeleteRequest>(step.role));
    default:
      return;
  }
}

bool OrderRun::is_known(Role role) const {
  const bool is_creating = std::ranges::any_of(
      pending_, [](const auto& entry) { return entry.second.verb == "Create"; });
  return role == Role::init ? created_ || is_creating : added_.count(role) != 0;
}

// Calls State for every known process, unless an earlier call is still pending.
void OrderRun::observe() {
  for (Role role : kAllRoles) {
    if (!is_known(role)) continue;
    const bool is_pending = std::ranges::any_of(pending_, [&](const auto& entry) {
      return entry.second.verb == "State" && entry.second.role == role;
    });
    if (!is_pending)
      spawn<api::StateResponse>(*observer_, "State", role, about<api::StateRequest>(role));
    if (!waits_[role])
      spawn<api::WaitResponse>(*observer_, "Wait", role, about<api::WaitRequest>(role));
    waits_[role] = true;
  }
}

// --- steps

ScriptedRuntime::Call* OrderRun::call_of(const Step& step) const {
  for (ScriptedRuntime::Call* call : runtime_->calls())
    if (call->verb == step.call && call->role == step.role) return call;
  throw Error::failed_precondition("no such call is blocked: " + to_words(step));
}

void OrderRun::begin(const Step& step) {
  switch (step.act) {
    case Act::disconnect:
      return client_->close();
    case Act::create_process:
      return runtime_->create_process(*call_of(step));
    case Act::succeed:
      return runtime_->succeed(*call_of(step));
    case Act::fail:
      return runtime_->fail(*call_of(step), "as the script says");
    case Act::kill_call:
      return runtime_->kill_call(*call_of(step));
    case Act::die:
      if (!runtime_->is_alive(step.role))
        throw Error::failed_precondition("the process is not alive");
      return runtime_->end_process(step.role);
    default:
      return spawn_request(step);
  }
}

Task<> OrderRun::do_step(Step step) {
  if (step.act == Act::pass_time) {
    co_await sleep(*loop_, kStep);
  } else {
    begin(step);
  }
  co_await settle();
}

Task<> OrderRun::settle() {
  co_await runtime_->wait_until_idle();
  observe();
  co_await runtime_->wait_until_idle();
}

void OrderRun::perform(const Step& step) {
  write({.kind = Kind::step, .text = to_words(step)});
  steps_.push_back(step);
  loop_->run(do_step(step));
}

Task<> OrderRun::pass(Duration time) {
  co_await sleep(*loop_, time);
  co_await settle();
}

// By the observer, because the other client's calls may hang.
Task<> OrderRun::remove_container() {
  if (!created_ || deleted_) co_return;
  write({.kind = Kind::step, .text = "another client kills and deletes the container"});
  spawn<Empty>(*observer_, "Kill", Role::init, kill_request(Role::init));
  co_await pass(kAllLimits);
  spawn<api::DeleteResponse>(*observer_, "Delete", Role::init,
                             about<api::DeleteRequest>(Role::init));
  co_await pass(kAllLimits);
}

Task<> OrderRun::disconnect_clients() {
  client_->close();
  observer_->close();
  co_await runtime_->wait_until_idle();
}

Trace OrderRun::finish() {
  write({.kind = Kind::step, .text = "time passes while calls hang"});
  loop_->run(pass(kAllLimits));
  runtime_->unblock_all();
  loop_->run(pass(kAllLimits));
  loop_->run(remove_container());
  record_leftovers();
  write({.kind = Kind::end});
  return std::move(trace_);
}

void OrderRun::record_leftovers() {
  const auto left = [this](const std::string& what) {
    write({.kind = Kind::left_over, .text = what});
  };
  for (Role role : kAllRoles)
    if (runtime_->is_alive(role)) left(std::string(name_of(role)) + " lives");
  runtime_->kill_all();
  loop_->run(pass(kStep));
  for (ScriptedRuntime::Call* call : runtime_->calls())
    left("the runtime's " + call->verb + " hangs");
  loop_->run(disconnect_clients());
  calls_.cancel();
  serving_.cancel();
  client_.reset();
  observer_.reset();
  server_.reset();
  service_.reset();
  for (pid_t pid : own_children()) left("a child: " + read_proc_file(pid, "stat").value_or(""));
  if (::access((directory_ + "/root/orders/" + kContainer).c_str(), F_OK) == 0) left(kRuntimeState);
  reaper_.reset();
  runtime_.reset();
  if (loop_->close() != 0) left("handles of the loop");
  loop_.reset();
  const std::size_t descriptors = open_descriptors();
  if (descriptors != descriptors_before_)
    left("descriptors: " + std::to_string(descriptors) + " in place of " +
         std::to_string(descriptors_before_));
}

}  // namespace thinshim::orders
