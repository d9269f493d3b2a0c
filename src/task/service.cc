// SPDX-License-Identifier: Apache-2.0
#include "task/service.h"

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/identifier.h"
#include "base/log.h"

namespace thinshim {
namespace {

namespace types = containerd::v1::types;

types::Status status_of(State state) {
  switch (state) {
    case State::created:
      return types::CREATED;
    case State::running:
      return types::RUNNING;
    case State::paused:
      return types::PAUSED;
    case State::stopped:
    case State::deleted:
      return types::STOPPED;
  }
  return types::UNKNOWN;
}

std::uint32_t exit_status(const Process& process) {
  return static_cast<std::uint32_t>(process.exit() ? process.exit()->status : 0);
}

}  // namespace

TaskService::TaskService(Reaper& reaper, EventSink& events, Settings settings)
    : reaper_(reaper), events_(events), settings_(std::move(settings)) {}

void TaskService::serve(Server& server) {
  for (const char* name : {"containerd.task.v2.Task", "containerd.task.v3.Task"}) {
    server.add(name, "State", *this, &TaskService::state);
    server.add(name, "Create", *this, &TaskService::create);
    server.add(name, "Start", *this, &TaskService::start);
    server.add(name, "Delete", *this, &TaskService::remove);
    server.add(name, "Pids", *this, &TaskService::pids);
    server.add(name, "Kill", *this, &TaskService::kill);
    server.add(name, "Exec", *this, &TaskService::exec);
    server.add(name, "ResizePty", *this, &TaskService::resize_pty);
    server.add(name, "CloseIO", *this, &TaskService::close_io);
    server.add(name, "Wait", *this, &TaskService::wait);
    server.add(name, "Connect", *this, &TaskService::connect);
    server.add(name, "Shutdown", *this, &TaskService::shutdown);
  }
}

std::shared_ptr<Container> TaskService::container(const std::string& id) const {
  auto entry = containers_.find(id);
  if (entry == containers_.end()) throw Error::not_found("container not created");
  return entry->second;
}

template <class T>
Task<T> TaskService::see_through(Task<T> work, Process::Stop stop, std::string what) {
  auto abandoned = [this, stop] { operations_.spawn(stop_later(stop), "give up"); };
  return complete(operations_, std::move(work), std::move(what), std::move(abandoned));
}

Task<> TaskService::stop_later(Process::Stop stop) {
  co_await sleep(reaper_.loop(), settings_.patience);
  stop->set();
}

Task<api::StateResponse> TaskService::state(api::StateRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  std::shared_ptr<Process> process = owner->process(request.exec_id());
  api::StateResponse response;
  response.set_id(process->id());
  response.set_bundle(owner->bundle().path());
  response.set_pid(static_cast<std::uint32_t>(process->pid()));
  response.set_status(status_of(process->state()));
  response.set_stdin(process->streams().in);
  response.set_stdout(process->streams().out);
  response.set_stderr(process->streams().err);
  response.set_terminal(process->streams().terminal);
  response.set_exit_status(exit_status(*process));
  set_timestamp(response.mutable_exited_at(), process->exit());
  co_return response;
}

// Writes what a later `delete`, of whatever shim, needs to know; creates nothing else.
std::shared_ptr<Container> TaskService::set_up(const api::CreateTaskRequest& request) {
  Bundle bundle(request.bundle());
  RuncOptions options = settings_.read_options(request.options());
  Runtime::Settings runtime{options.binary_name().empty() ? "runc" : options.binary_name(),
                            join_path(options.root(), settings_.containerd_namespace),
                            options.systemd_cgroup()};
  Streams streams{request.stdin(), request.stdout(), request.stderr(), request.terminal()};
  bundle.write_address(settings_.address);
  bundle.write_options(options);
  bundle.write_runtime(options.binary_name());
  Container::Setup setup{request.id(), bundle, std::move(runtime), std::move(options),
                         std::move(streams)};
  return std::make_shared<Container>(reaper_, events_, std::move(setup));
}

Task<api::CreateTaskResponse> TaskService::create(api::CreateTaskRequest request) {
  check_identifier(request.id(), "container id");
  if (request.bundle().empty() || request.bundle().front() != '/')
    throw Error::invalid_argument("bundle \"" + request.bundle() + "\" is no absolute path");
  if (!request.checkpoint().empty()) throw Error::unimplemented("restoring a checkpoint");
  if (containers_.count(request.id()) != 0 || !being_created_.emplace(request.id(), true).second)
    throw Error::already_exists("container " + request.id());
  auto stop = std::make_shared<Event>();
  auto abandoned = [this, id = request.id(), stop] {
    create_given_up(id);
    operations_.spawn(stop_later(stop), "give up");
  };
  Task<pid_t> creating = complete(operations_, create_container(std::move(request), stop), "create",
                                  std::move(abandoned));
  pid_t pid = co_await std::move(creating);
  api::CreateTaskResponse response;
  response.set_pid(static_cast<std::uint32_t>(pid));
  co_return response;
}

Task<pid_t> TaskService::create_container(api::CreateTaskRequest request, Process::Stop stop) {
  const std::string id = request.id();
  std::exception_ptr failure;
  std::shared_ptr<Container> made;
  try {
    made = set_up(request);
    Task<> creating = made->create(std::move(request), std::move(stop));
    co_await std::move(creating);
  } catch (...) {
    failure = std::current_exception();
  }
  being_created_.erase(id);
  if (failure) {
    end_if_asked();
    std::rethrow_exception(failure);
  }
  containers_[id] = made;
  co_return made->process("")->pid();
}

Task<api::StartResponse> TaskService::start(api::StartRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  auto stop = std::make_shared<Event>();
  Task<pid_t> starting =
      see_through(start_process(std::move(owner), request.exec_id(), stop), stop, "start");
  pid_t pid = co_await std::move(starting);
  api::StartResponse response;
  response.set_pid(static_cast<std::uint32_t>(pid));
  co_return response;
}

Task<pid_t> TaskService::start_process(std::shared_ptr<Container> container, std::string exec_id,
                                       Process::Stop stop) {
  Task<pid_t> starting = container->start(std::move(exec_id), std::move(stop));
  co_return co_await std::move(starting);
}

Task<api::DeleteResponse> TaskService::remove(api::DeleteRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  auto stop = std::make_shared<Event>();
  Task<std::shared_ptr<Process>> removing =
      see_through(remove_process(std::move(owner), request.exec_id(), stop), stop, "delete");
  std::shared_ptr<Process> process = co_await std::move(removing);
  api::DeleteResponse response;
  response.set_pid(static_cast<std::uint32_t>(process->pid()));
  response.set_exit_status(exit_status(*process));
  set_timestamp(response.mutable_exited_at(), process->exit());
  co_return response;
}

Task<std::shared_ptr<Process>> TaskService::remove_process(std::shared_ptr<Container> container,
                                                           std::string exec_id,
                                                           Process::Stop stop) {
  bool whole = exec_id.empty();
  Task<std::shared_ptr<Process>> removing = container->remove(std::move(exec_id), std::move(stop));
  std::shared_ptr<Process> process = co_await std::move(removing);
  auto entry = containers_.find(container->id());
  if (whole && entry != containers_.end() && entry->second == container) {
    containers_.erase(entry);
    end_if_asked();
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
  auto stop = std::make_shared<Event>();
  Task<> killing =
      see_through(kill_process(std::move(owner), std::move(request), stop), stop, "kill");
  co_await std::move(killing);
  co_return wire::Empty();
}

Task<> TaskService::kill_process(std::shared_ptr<Container> container, api::KillRequest request,
                                 Process::Stop stop) {
  Task<> killing = container->kill(std::move(request), std::move(stop));
  co_await std::move(killing);
}

Task<wire::Empty> TaskService::exec(api::ExecProcessRequest request) {
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

Task<api::WaitResponse> TaskService::wait(api::WaitRequest request) {
  std::shared_ptr<Container> owner = container(request.id());
  std::shared_ptr<Process> process = owner->process(request.exec_id());
  owner.reset();  // a client that waits does not keep a deleted container
  co_await process->ended().wait();
  api::WaitResponse response;
  response.set_exit_status(exit_status(*process));
  set_timestamp(response.mutable_exited_at(), process->exit());
  co_return response;
}

Task<api::ConnectResponse> TaskService::connect(api::ConnectRequest request) {
  api::ConnectResponse response;
  response.set_shim_pid(static_cast<std::uint32_t>(::getpid()));
  auto entry = containers_.find(request.id());
  if (entry != containers_.end())
    response.set_task_pid(static_cast<std::uint32_t>(entry->second->process("")->pid()));
  co_return response;
}

Task<wire::Empty> TaskService::shutdown(api::ShutdownRequest) {
  shutdown_asked_ = true;
  if (has_no_work()) settings_.shut_down();
  co_return wire::Empty();
}

// Nobody waits for it any more: where it is still under way, the runtime takes longer than its
// client's patience.
void TaskService::create_given_up(const std::string& id) {
  auto create = being_created_.find(id);
  if (create == being_created_.end()) return;
  create->second = false;
  end_if_asked();
}

bool TaskService::has_no_work() const {
  bool awaited = std::any_of(being_created_.begin(), being_created_.end(),
                             [](const auto& create) { return create.second; });
  return containers_.empty() && !awaited;
}

// A request to shut down that came while there were containers is remembered: clients send it once
// (containerd issue 12344). But whoever took the last container away is about to ask for the end
// himself, and a connection that closes right behind an answer may cost a Go client the answer.
void TaskService::end_if_asked() {
  if (shutdown_asked_ && has_no_work()) operations_.spawn(end_after_farewell(), "end");
}

Task<> TaskService::end_after_farewell() {
  co_await sleep(reaper_.loop(), settings_.farewell);
  if (has_no_work()) settings_.shut_down();
}

}  // namespace thinshim
