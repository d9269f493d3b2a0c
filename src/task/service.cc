// SPDX-License-Identifier: Apache-2.0
#include "task/service.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/reserve.h"

namespace thinshim {
namespace {

namespace types = containerd::v1::types;

types::Status status_of(const Container& container, const Process& process) {
  const bool is_init = &process == container.process("").get();
  const State state = process.published_state();
  if (is_init && state == State::running && container.pausing()) return types::PAUSING;
  constexpr types::Status kStatuses[] = {types::CREATED, types::RUNNING, types::PAUSED,
                                         types::STOPPED, types::STOPPED, types::STOPPED};
  return kStatuses[static_cast<int>(state)];
}

// For requests that make something new.
void require_memory() {
  if (!has_reserved_memory())
    throw Error(Code::resource_exhausted, "the shim is out of memory: resource exhausted");
}

std::uint32_t exit_status(const Process& process) {
  return static_cast<std::uint32_t>(process.exit() ? process.exit()->status : 0);
}

}  // namespace

TaskService::TaskService(Reaper& reaper, EventSink& events, Settings settings)
    : reaper_(reaper),
      events_(events),
      settings_(std::move(settings)),
      loggers_(reaper, settings_.containerd_namespace),
      readers_(std::make_shared<FifoReaders>(reaper.loop())),
      records_(settings_.first_bundle),
      creations_(reaper.loop(), {settings_.creation,
                                 [this](auto container) {
                                   return remove_process(std::make_shared<Event>(), container, "");
                                 },
                                 [this] { update_lifetime(); }}),
      lifetime_(reaper.loop(), settings_.lifetime) {}

void TaskService::serve(Server& server) {
  for (const char* name : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
    const auto add = [&]<class Request, class Response>(
                         const char* method, Task<Response> (TaskService::*member)(Request)) {
      server.add<Request, Response>(name, method, [this, member](Request request) {
        return creations_.call_after(*this, member, std::move(request));
      });
    };
    add("State", &TaskService::state);
    add("Start", &TaskService::start);
    add("Delete", &TaskService::remove);
    add("Pids", &TaskService::pids);
    add("Pause", &TaskService::pause);
    add("Resume", &TaskService::resume);
    add("Update", &TaskService::update);
    add("Checkpoint", &TaskService::checkpoint);
    add("Stats", &TaskService::stats);
    add("Kill", &TaskService::kill);
    add("Exec", &TaskService::exec);
    add("ResizePty", &TaskService::resize_pty);
    add("CloseIO", &TaskService::close_io);
    server.add_late(name, "Wait", [this](std::string payload, Reply reply) {
      return creations_.call_after(*this, &TaskService::wait,
                                   parse_message<api::WaitRequest>(payload), std::move(reply));
    });
    server.add(name, "Create", *this, &TaskService::create);
    server.add(name, "Connect", *this, &TaskService::connect);
    server.add(name, "Shutdown", *this, &TaskService::shutdown);
  }
  server.add(kStartService, kExpect, *this, &TaskService::expect);
}

std::shared_ptr<Container> TaskService::container(const std::string& id) const {
  auto entry = containers_.find(id);
  if (entry == containers_.end()) throw Error::not_found("container not created");
  return entry->second;
}

// Owns the container until the verb has ended.
template <class T, class... Arguments>
Task<T> call_verb(std::shared_ptr<Container> container,
                  Task<T> (Container::*verb)(Process::Stop, Arguments...), Process::Stop stop,
                  Arguments... arguments) {
  co_return co_await (container.get()->*verb)(std::move(stop), std::move(arguments)...);
}

template <class T, class... Arguments>
Task<T> TaskService::run_verb(std::shared_ptr<Container> container, const char* what,
                              Task<T> (Container::*verb)(Process::Stop, Arguments...),
                              Arguments... arguments) {
  auto stop = std::make_shared<Event>();
  Task<T> running = call_verb(std::move(container), verb, stop, std::move(arguments)...);
  return run_to_completion(operations_, std::move(running), what, on_cancel(stop));
}

std::function<void()> TaskService::on_cancel(Process::Stop stop) {
  return [this, stop] { operations_.spawn(stop_after_grace_period(stop), "cancel"); };
}

Task<> TaskService::stop_after_grace_period(Process::Stop stop) {
  co_await TimedWait(reaper_.loop(), shutting_down_, settings_.grace_period);
  stop->set();
}

Task<api::StateResponse> TaskService::state(api::StateRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  std::shared_ptr<Process> process = owner->process(request.exec_id());
  api::StateResponse response;
  response.set_id(process->id());
  response.set_bundle(owner->bundle().path());
  response.set_pid(static_cast<std::uint32_t>(process->pid()));
  response.set_status(status_of(*owner, *process));
  response.set_stdin(process->streams().in);
  response.set_stdout(process->streams().out);
  response.set_stderr(process->streams().err);
  response.set_terminal(process->streams().terminal);
  response.set_exit_status(exit_status(*process));
  set_timestamp(response.mutable_exited_at(), process->exit());
  co_return response;
}

// Writes to the bundle what a later `delete` needs, of this shim or of another; makes nothing else.
std::shared_ptr<Container> TaskService::set_up(const api::CreateTaskRequest& request,
                                               Options read) {
  Bundle bundle(request.bundle());
  read.stdio.readers = readers_;
  RuncOptions& options = read.runc;
  Runtime::Settings runtime{options.binary_name().empty() ? "runc" : options.binary_name(),
                            join_path(options.root(), settings_.containerd_namespace),
                            options.systemd_cgroup(), read.direct_signals, bundle.path()};
  Streams streams{request.stdin(), request.stdout(), request.stderr(), request.terminal()};
  bundle.write_address(settings_.address);
  bundle.write_options(options);
  bundle.write_runtime(options.binary_name());
  Container::Setup setup{
      request.id(),          bundle,    runtime,          std::move(options), std::move(streams),
      std::move(read.stdio), &loggers_, read.signal_delay};
  auto made = std::make_shared<Container>(reaper_, events_, std::move(setup));
  records_.add(request.id(), bundle, runtime, made->spec());
  return made;
}

Task<api::CreateTaskResponse> TaskService::create(api::CreateTaskRequest request) {
  require_memory();
  check_identifier(request.id(), "container id");
  if (request.bundle().empty() || request.bundle().front() != '/')
    throw Error::invalid_argument("bundle \"" + request.bundle() + "\" is not an absolute path");
  for (const std::string* path :
       {&request.bundle(), &request.stdin(), &request.stdout(), &request.stderr(),
        &request.checkpoint(), &request.parent_checkpoint()})
    check_no_nul(*path, "create");
  if (containers_.count(request.id()) != 0 || !creations_.begin(request.id()))
    throw Error::already_exists("container " + request.id());
  lifetime_.arrived(request.id());
  if (settings_.on_create) settings_.on_create();
  auto stop = std::make_shared<Event>();
  const std::string id = request.id();
  auto cancelled = [this, id, stop_later = on_cancel(stop)] {
    creations_.abandon(id);
    stop_later();
  };
  pid_t pid = co_await run_to_completion(
      operations_, creations_.finish(id, make_container(stop, std::move(request))), "create",
      std::move(cancelled));
  release_memory();
  api::CreateTaskResponse response;
  response.set_pid(static_cast<std::uint32_t>(pid));
  co_return response;
}

Task<std::shared_ptr<Container>> TaskService::make_container(Process::Stop stop,
                                                             api::CreateTaskRequest request) {
  Options options = co_await settings_.read_options(request.options(), stop);
  std::shared_ptr<Container> made = set_up(request, std::move(options));
  std::exception_ptr failure;
  try {
    co_await made->create(std::move(stop), std::move(request));
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure && !made->has_leftovers()) records_.remove(made->id());
  if (failure) std::rethrow_exception(failure);
  containers_[made->id()] = made;
  co_return made;
}

Task<api::StartResponse> TaskService::start(api::StartRequest request) {
  require_memory();
  co_await events_.throttle();
  pid_t pid =
      co_await run_verb(container(request.id()), "start", &Container::start, request.exec_id());
  api::StartResponse response;
  response.set_pid(static_cast<std::uint32_t>(pid));
  co_return response;
}

Task<api::DeleteResponse> TaskService::remove(api::DeleteRequest request) {
  auto stop = std::make_shared<Event>();
  std::shared_ptr<Process> process = co_await run_to_completion(
      operations_, remove_process(stop, container(request.id()), request.exec_id()), "delete",
      on_cancel(stop));
  release_memory();
  api::DeleteResponse response;
  response.set_pid(static_cast<std::uint32_t>(process->pid()));
  response.set_exit_status(exit_status(*process));
  set_timestamp(response.mutable_exited_at(), process->exit());
  co_return response;
}

Task<std::shared_ptr<Process>> TaskService::remove_process(Process::Stop stop,
                                                           std::shared_ptr<Container> container,
                                                           std::string exec_id) {
  bool whole = exec_id.empty();
  TaskSet limit;
  limit.spawn(set_later(reaper_.loop(), settings_.deletion, *stop), "limit of a deletion");
  std::shared_ptr<Process> process = co_await container->remove(stop, std::move(exec_id));
  auto entry = containers_.find(container->id());
  if (whole && entry != containers_.end() && entry->second == container) {
    records_.remove(container->id());
    containers_.erase(entry);
    update_lifetime();
  }
  co_return process;
}

Task<api::PidsResponse> TaskService::pids(api::PidsRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  api::PidsResponse response;
  for (const Container::Member& member : owner->members()) {
    types::ProcessInfo* info = response.add_processes();
    info->set_pid(static_cast<std::uint32_t>(member.pid));
    if (member.exec_id.empty()) continue;
    containerd::runc::v1::ProcessDetails details;
    details.set_exec_id(member.exec_id);
    info->mutable_info()->set_type_url(details.GetTypeName());
    info->mutable_info()->set_value(details.SerializeAsString());
  }
  co_return response;
}

Task<wire::Empty> TaskService::kill(api::KillRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  co_await run_verb(std::move(owner), "kill", &Container::kill, std::move(request));
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::pause(api::PauseRequest request) {
  co_await run_verb(container(request.id()), "pause", &Container::pause);
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::resume(api::ResumeRequest request) {
  co_await run_verb(container(request.id()), "resume", &Container::resume);
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::update(api::UpdateTaskRequest request) {
  co_await run_verb(container(request.id()), "update", &Container::update,
                    request.resources().value());
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::checkpoint(api::CheckpointTaskRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  CheckpointOptions options;
  if (!options.ParseFromString(request.options().value()))
    throw Error::invalid_argument("cannot parse the checkpoint options");
  for (const std::string* text :
       {&request.path(), &options.work_path(), &options.parent_path(), &options.cgroups_mode()})
    check_no_nul(*text, "checkpoint");
  for (const std::string& name : options.empty_namespaces()) check_no_nul(name, "checkpoint");
  co_await run_verb(std::move(owner), "checkpoint", &Container::checkpoint, request.path(),
                    std::move(options));
  co_return wire::Empty();
}

Task<api::StatsResponse> TaskService::stats(api::StatsRequest request) {
  auto [type, bytes] = container(request.id())->stats();
  api::StatsResponse response;
  response.mutable_stats()->set_type_url(std::move(type));
  response.mutable_stats()->set_value(std::move(bytes));
  co_return response;
}

Task<wire::Empty> TaskService::exec(api::ExecProcessRequest request) {
  require_memory();
  container(request.id())->exec(request);
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::resize_pty(api::ResizePtyRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  owner->process(request.exec_id())->resize(request.width(), request.height());
  co_return wire::Empty();
}

Task<wire::Empty> TaskService::close_io(api::CloseIORequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  owner->process(request.exec_id())->close_stdin();
  co_return wire::Empty();
}

Task<> TaskService::wait(api::WaitRequest request, Reply reply) {
  container(request.id())->process(request.exec_id())->answer_when_ended(std::move(reply));
  co_return;
}

Task<api::ConnectResponse> TaskService::connect(api::ConnectRequest request) {
  api::ConnectResponse response;
  response.set_shim_pid(static_cast<std::uint32_t>(::getpid()));
  auto entry = containers_.find(request.id());
  if (entry != containers_.end())
    response.set_task_pid(static_cast<std::uint32_t>(entry->second->process("")->pid()));
  co_return response;
}

std::string TaskService::describe() const {
  std::string json;
  for (const auto& [id, container] : containers_)
    json += (json.empty() ? "" : ",") + container->describe();
  return "[" + json + "]";
}

Task<wire::Empty> TaskService::shutdown(api::ShutdownRequest) {
  lifetime_.request_shutdown();
  co_return wire::Empty();
}

bool TaskService::has_containers() const {
  return !containers_.empty() || creations_.are_awaited();
}

Task<wire::Empty> TaskService::expect(api::ConnectRequest request) {
  check_identifier(request.id(), "container id");
  lifetime_.expect(request.id());
  co_return wire::Empty();
}

Task<> TaskService::creates_finished() {
  shutting_down_.set();
  co_await creations_.wait_finished();
}

void TaskService::publish_exits() {
  for (const auto& [id, container] : containers_) container->publish_exits();
}

bool TaskService::is_forgotten() const {
  return !containers_.empty() && creations_.count() == 0 && !lifetime_.expects() &&
         std::all_of(containers_.begin(), containers_.end(), [](const auto& entry) {
           const Container& container = *entry.second;
           return container.process("")->state() == State::stopped &&
                  ::access(container.bundle().path().c_str(), F_OK) < 0 && errno == ENOENT;
         });
}

void TaskService::update_lifetime() {
  using Work = Lifetime::Work;
  const Work without_containers = creations_.count() == 0 ? Work::none : Work::undo;
  lifetime_.set_work(has_containers() ? Work::containers : without_containers);
}

void TaskService::release_memory() {
  if (releasing_.empty()) releasing_.spawn(release_memory_later(), "release memory");
}

// After the response was sent.
Task<> TaskService::release_memory_later() {
  co_await yield(reaper_.loop());
  release_unused_memory();
  if (std::exchange(code_unmapped_, true)) co_return;
  unmap_unused_code();
}

}  // namespace thinshim
