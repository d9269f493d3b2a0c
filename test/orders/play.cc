// SPDX-License-Identifier: Apache-2.0
#include "orders/play.h"

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

// Beside this program, whose path is only right before it has namespaces of its own (in a chroot).
const std::string kRuntime = join_path(directory_of(read_link("/proc/self/exe").value()), "runc");

using namespace std::chrono_literals;
using wire::Empty;
namespace api = containerd::task::v3;

constexpr Duration kStep = 6s;
// Longer than all that the service gives to anything, one after the other.
constexpr Duration kEnough = 200s;

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

template <class Message>
Message about(Who who) {
  Message message;
  message.set_id(kContainer);
  message.set_exec_id(exec_id_of(who));
  return message;
}

template <class Message>
Message about_container() {
  Message message;
  message.set_id(kContainer);
  return message;
}

api::KillRequest kill_request(Who who) {
  auto request = about<api::KillRequest>(who);
  request.set_signal(SIGKILL);
  return request;
}

// What is told of a process in an answer.
template <class Response>
void take_pid(const Response& response, Entry& entry) {
  if constexpr (requires { response.pid(); }) entry.pid = static_cast<pid_t>(response.pid());
}
template <class Response>
void take_end(const Response& response, Entry& entry) {
  if constexpr (requires { response.exited_at(); }) {
    const auto& at = response.exited_at();
    if (at.seconds() > 0)
      entry.ended = Ended{static_cast<int>(response.exit_status()),
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

void prepare_to_play() {
  ::signal(SIGPIPE, SIG_IGN);  // as the shim has it
  Loop().close();              // libuv keeps some descriptors of its first loop
}

Play::Play(const Scene& scene, const std::string& directory)
    : scene_(scene), directory_(directory), descriptors_before_(open_descriptors()) {
  trace_.own_pid_namespace = scene.own_pid_namespace;
  trace_.signals = scene.signals;
  const std::string bundle = directory + "/bundle";
  make_directories(bundle + "/rootfs", 0700);
  make_directories(directory + "/root/orders", 0700);
  write_file(bundle + "/config.json",
             std::string(R"({"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"mount"})") +
                 (scene.own_pid_namespace ? R"(,{"type":"pid"})" : "") + "]}}",
             0600);
  loop_.emplace();
  ::setenv("ORDERS_STAGE", (directory + "/stage").c_str(), 1);
  stage_.emplace(*loop_,
                 Stage::Setting{directory + "/stage", directory + "/root/orders/" + kContainer,
                                scene.own_pid_namespace, scene.signals},
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
  for (const Step& step : scene.before) perform(step);
}

Play::~Play() {
  // In the order in which they need each other.
  calls_.cancel();
  serving_.cancel();
}

// All as it is configured where nothing is configured.
TaskService::Settings Play::settings(const std::string& directory) {
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

void Play::write(Entry entry) {
  entry.ms = virtual_ms();
  if (entry.kind == Kind::event) {
    if (entry.verb == "create") created_ = true;
    if (entry.verb == "exec-added") added_[entry.who] = true;
    if (entry.verb == "delete") removed_ = true;
  }
  trace_.entries.push_back(std::move(entry));
}

// --- requests

// Whether it was granted.
template <class Response, class Message>
Task<bool> Play::ask(Client& client, std::string verb, Who who, Message message) {
  const int number = ++last_request_;
  asked_[number] = {verb, who, &client == &*observer_};
  write({.kind = Kind::request, .verb = verb, .who = who, .number = number});
  Entry answer{.kind = Kind::answer, .verb = verb, .who = who, .number = number};
  try {
    Response response =
        co_await client.call<Response>("containerd.task.v3.Task", verb, message, Duration(0));
    take_pid(response, answer);
    take_end(response, answer);
    take_state(response, answer);
  } catch (const Error& error) {
    answer.code = error.code();
    answer.text = error.what();
    if (error.code() == Code::unavailable) answer.kind = Kind::hung_up;
  }
  asked_.erase(number);
  if (verb == "Wait" && answer.code != Code::ok) asks_[{verb, who}] = false;  // once more
  const bool granted = answer.code == Code::ok;
  if (who == Who::init) failed_[verb] = !granted && answer.kind == Kind::answer;
  write(std::move(answer));
  co_return granted;
}

Task<> drop_result(Task<bool> task) { co_await std::move(task); }

template <class Response, class Message>
void Play::spawn(Client& client, std::string verb, Who who, Message message) {
  Task<bool> asking = ask<Response>(client, verb, who, std::move(message));
  calls_.spawn(drop_result(std::move(asking)), std::move(verb));
}

Task<> Play::ask_exec(Who who) {
  auto request = about<api::ExecProcessRequest>(who);
  request.mutable_spec()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/Process");
  request.mutable_spec()->set_value(R"({"args":["exec"],"cwd":"/"})");
  const bool added = co_await ask<Empty>(*client_, "Exec", who, std::move(request));
  if (!added) co_return;
  auto start = about<api::StartRequest>(who);
  co_await ask<api::StartResponse>(*client_, "Start", who, std::move(start));
}

void Play::spawn_request(const Step& step) {
  switch (step.act) {
    case Act::create: {
      auto request = about_container<api::CreateTaskRequest>();
      request.set_bundle(directory_ + "/bundle");
      return spawn<api::CreateTaskResponse>(*client_, "Create", step.who, std::move(request));
    }
    case Act::start:
      return spawn<api::StartResponse>(*client_, "Start", step.who,
                                       about<api::StartRequest>(step.who));
    case Act::exec:
      return calls_.spawn(ask_exec(step.who), "exec");
    case Act::kill:
      return spawn<Empty>(*client_, "Kill", step.who, kill_request(step.who));
    case Act::pause:
      return spawn<Empty>(*client_, "Pause", step.who, about_container<api::PauseRequest>());
    case Act::resume:
      return spawn<Empty>(*client_, "Resume", step.who, about_container<api::ResumeRequest>());
    case Act::remove:
      return spawn<api::DeleteResponse>(*client_, "Delete", step.who,
                                        about<api::DeleteRequest>(step.who));
    default:
      return;
  }
}

bool Play::is_known(Who who) const {
  const bool is_awaited =
      std::ranges::any_of(asked_, [](const auto& entry) { return entry.second.verb == "Create"; });
  return who == Who::init ? created_ || is_awaited : added_.count(who) != 0;
}

// Asks for the state of everybody; where it was asked before and not answered, not once more.
void Play::observe() {
  for (Who who : kEverybody) {
    if (!is_known(who)) continue;
    const bool asks = std::ranges::any_of(asked_, [&](const auto& entry) {
      return entry.second.verb == "State" && entry.second.who == who;
    });
    if (!asks) spawn<api::StateResponse>(*observer_, "State", who, about<api::StateRequest>(who));
    if (!asks_[{"Wait", who}])
      spawn<api::WaitResponse>(*observer_, "Wait", who, about<api::WaitRequest>(who));
    asks_[{"Wait", who}] = true;
  }
}

// --- steps

Stage::Call* Play::call_of(const Step& step) const {
  for (Stage::Call* call : stage_->calls())
    if (call->verb == step.call && call->who == step.who) return call;
  throw Error::failed_precondition("no such call stands: " + to_words(step));
}

void Play::control(const Step& step) {
  switch (step.act) {
    case Act::hang_up:
      return client_->close();
    case Act::make:
      return stage_->make(*call_of(step));
    case Act::let_return:
      return stage_->let_return(*call_of(step));
    case Act::fail:
      return stage_->let_fail(*call_of(step), "as the script says");
    case Act::kill_call:
      return stage_->kill_call(*call_of(step));
    case Act::die:
      if (!stage_->lives(step.who)) throw Error::failed_precondition("nobody can die there");
      return stage_->let_die(step.who);
    default:
      return spawn_request(step);
  }
}

Task<> Play::do_step(Step step) {
  if (step.act == Act::pass) {
    co_await sleep(*loop_, kStep);
  } else {
    control(step);
  }
  co_await settle();
}

Task<> Play::settle() {
  co_await stage_->still();
  observe();
  co_await stage_->still();
}

void Play::perform(const Step& step) {
  write({.kind = Kind::step, .text = to_words(step)});
  steps_.push_back(step);
  loop_->run(do_step(step));
}

Task<> Play::pass(Duration time) {
  co_await sleep(*loop_, time);
  co_await settle();
}

// As a client does that finds the container; by the observer, for the other may hang.
Task<> Play::clean_up() {
  if (!created_ || removed_) co_return;
  write({.kind = Kind::step, .text = "another client ends and deletes the container"});
  spawn<Empty>(*observer_, "Kill", Who::init, kill_request(Who::init));
  co_await pass(kEnough);
  spawn<api::DeleteResponse>(*observer_, "Delete", Who::init, about<api::DeleteRequest>(Who::init));
  co_await pass(kEnough);
}

Task<> Play::let_go() {
  client_->close();
  observer_->close();
  co_await stage_->still();
}

Trace Play::finish() {
  write({.kind = Kind::step, .text = "time passes for whatever hangs"});
  loop_->run(pass(kEnough));
  stage_->free_all();
  loop_->run(pass(kEnough));
  loop_->run(clean_up());
  look_for_leftovers();
  write({.kind = Kind::end});
  return std::move(trace_);
}

void Play::look_for_leftovers() {
  const auto left = [this](const std::string& what) { write({.kind = Kind::left, .text = what}); };
  for (Who who : kEverybody)
    if (stage_->lives(who)) left(std::string(name_of(who)) + " lives");
  stage_->sweep();
  loop_->run(pass(kStep));
  for (Stage::Call* call : stage_->calls()) left("the runtime's " + call->verb + " hangs");
  loop_->run(let_go());
  calls_.cancel();
  serving_.cancel();
  client_.reset();
  observer_.reset();
  server_.reset();
  service_.reset();
  for (pid_t pid : own_children()) left("a child: " + read_proc_file(pid, "stat").value_or(""));
  if (::access((directory_ + "/root/orders/" + kContainer).c_str(), F_OK) == 0) left(kRuntimeState);
  reaper_.reset();
  stage_.reset();
  if (loop_->close() != 0) left("handles of the loop");
  loop_.reset();
  const std::size_t descriptors = open_descriptors();
  if (descriptors != descriptors_before_)
    left("descriptors: " + std::to_string(descriptors) + " in place of " +
         std::to_string(descriptors_before_));
}

}  // namespace thinshim::orders
