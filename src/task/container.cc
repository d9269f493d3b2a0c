// SPDX-License-Identifier: Apache-2.0
#include "task/container.h"

#include <signal.h>
#include <unistd.h>

#include "base/error.h"
#include "base/identifier.h"
#include "base/log.h"
#include "oci/process_json.h"
#include "task_events.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
namespace events = containerd::events;

// How long the exit of an init that was deleted before its start may take.
constexpr Duration kLastExitLimit = 5s;

InitProcess::Settings init_settings(const Container::Setup& setup, const ContainerSpec& spec) {
  const RuncOptions& options = setup.options;
  ProcessIo::Settings io{
      setup.bundle.path(), setup.id, options.io_uid(), options.io_gid(), setup.stdio,
      setup.loggers,       {}};
  // Docker sends no owner to runtimes whose options it does not know (moby, runtime_unix.go).
  if (io.uid == 0 && io.gid == 0) {
    io.uid = spec.root_uid.value_or(0);
    io.gid = spec.root_gid.value_or(0);
  }
  return {setup.id,
          setup.bundle,
          options.no_pivot_root(),
          options.no_new_keyring(),
          std::move(io),
          options.criu_work_path()};
}

Error init_is_not_running(const std::string& id) {
  return Error::failed_precondition("container " + id + " init process is not running");
}

}  // namespace

Container::Container(Reaper& reaper, EventSink& sink, Setup setup)
    : reaper_(reaper),
      events_(sink),
      id_(setup.id),
      bundle_(setup.bundle),
      spec_(read_container_spec(bundle_.config())),
      init_settings_(init_settings(setup, spec_)),
      init_(std::make_shared<InitProcess>(reaper, Runtime(reaper, std::move(setup.runtime)),
                                          init_settings_, std::move(setup.streams))),
      signal_delay_(setup.signal_delay),
      exits_(reaper, sink, execs_, {id_, bundle_, spec_.own_pid_namespace, init_}) {}

std::shared_ptr<Process> Container::process(const std::string& exec_id) const {
  if (exec_id.empty()) return init_;
  auto exec = execs_.find(exec_id);
  if (exec == execs_.end()) throw Error::not_found("process does not exist " + exec_id);
  return exec->second;
}

Task<> Container::create(Process::Stop stop, api::CreateTaskRequest request) {
  Process::VerbLock lock = co_await init_->lock(std::move(stop));
  std::optional<InitProcess::Image> image;
  if (!request.checkpoint().empty())
    image = InitProcess::Image{request.checkpoint(), request.parent_checkpoint()};
  co_await init_->create(request.rootfs(), std::move(image));
  events::TaskCreate event;
  event.set_container_id(id_);
  event.set_bundle(bundle_.path());
  *event.mutable_rootfs() = request.rootfs();
  event.mutable_io()->set_stdin(request.stdin());
  event.mutable_io()->set_stdout(request.stdout());
  event.mutable_io()->set_stderr(request.stderr());
  event.mutable_io()->set_terminal(request.terminal());
  event.set_checkpoint(request.checkpoint());
  event.set_pid(static_cast<std::uint32_t>(init_->pid()));
  events_.publish(kTopicCreate, event);
  if (init_->made()) watch_init();
}

void Container::watch_init() {
  try {
    cgroup_ = Cgroup::of_process(init_->pid());
  } catch (const Error& error) {
    log::debug("failed to read the container's cgroup", {{"id", id_}, {"error", error.what()}});
  }
  exits_.watch_init(cgroup_);
}

Task<pid_t> Container::start(Process::Stop stop, std::string exec_id) {
  std::shared_ptr<Process> process = this->process(exec_id);
  Process::VerbLock lock = co_await process->lock(std::move(stop));
  Process::PendingEvent pending(*process);
  if (!exec_id.empty()) {
    co_await start_exec(std::static_pointer_cast<ExecProcess>(process));
    co_return process->pid();
  }
  const bool restored = !init_->made();
  co_await init_->start();
  if (restored) watch_init();
  if (init_->exit()) throw refusal(State::stopped, Verb::start);
  init_->set_started();
  events::TaskStart event;
  event.set_container_id(id_);
  event.set_pid(static_cast<std::uint32_t>(init_->pid()));
  events_.publish(kTopicStart, event);
  co_return init_->pid();
}

Task<> Container::start_exec(std::shared_ptr<ExecProcess> exec) {
  if (init_->dead()) throw init_is_not_running(id_);
  exits_.exec_begins();
  std::exception_ptr failure;
  try {
    co_await exec->start();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    exits_.exec_is_over();
    std::rethrow_exception(failure);
  }
  // The exit did not wait for a runtime that hung so long (exits.h); it may have made the exec.
  const bool too_late = init_->exit().has_value();
  if (!too_late) {
    exec->set_started();
    events::TaskExecStarted event;
    event.set_container_id(id_);
    event.set_exec_id(exec->id());
    event.set_pid(static_cast<std::uint32_t>(exec->pid()));
    events_.publish(kTopicExecStarted, event);
  }
  exits_.watch_exec(exec, !too_late);
  // It did not exist yet when the other processes were killed.
  if (too_late || (init_->dead() && !spec_.own_pid_namespace)) exec->kill_at_once();
  if (too_late) throw init_is_not_running(id_);
}

bool Container::is_frozen() const {
  return init_->published_state() == State::paused || init_->pausing() || cgroup_.is_frozen();
}

// Whether kill(2) does for init what the runtime would do. Not so for a frozen container: the
// runtime thaws it for SIGKILL. With cgroup v1 it would not exit before; with v2 the runtime would
// take it for paused, and refuse to delete it.
bool Container::can_signal_init_directly(int signal) const {
  return init_->runtime().settings().direct_signals && init_->made() &&
         (signal != SIGKILL || !is_frozen());
}

Task<> Container::kill(Process::Stop stop, api::KillRequest request) {
  std::shared_ptr<Process> process = this->process(request.exec_id());
  const int signal = static_cast<int>(request.signal());
  if (signal == SIGKILL) process->cancel_verbs_soon();
  if (signal == SIGKILL && process == init_ && !init_->dead()) exits_.set_kill_requested();
  Task<> sending = send_signal(process, std::move(stop), signal, request.all());
  try {
    co_await std::move(sending);
  } catch (const Error& error) {
    if (signal == SIGKILL && error.code() == Code::not_found) publish_exit_soon(*process);
    throw;
  }
}

// Returns once the verbs that came earlier are over.
Task<> Container::pass_verbs(std::shared_ptr<Process> process, Process::Stop stop, bool all) {
  Task<Process::VerbLock> locking = all ? process->lock(stop) : process->lock_alive(stop);
  Process::VerbLock lock = co_await std::move(locking);
}

Task<> Container::send_signal(std::shared_ptr<Process> process, Process::Stop stop, int signal,
                              bool all) {
  const bool is_direct = process == init_ && !all && can_signal_init_directly(signal);
  if (is_direct && signal == SIGKILL) {
    init_->signal_directly(signal);
    co_return;
  }
  if (signal != SIGKILL) {
    // Not while the start runs: until its end the process is the runtime's own program.
    const bool waits_for_start = !is_direct || init_->is_starting();
    if (waits_for_start) co_await pass_verbs(process, stop, all);
    // Without the lock: a SIGKILL must not wait for it.
    co_await process->wait_for_handlers(signal_delay_);
  }
  if (is_direct) {
    init_->signal_directly(signal);
    co_return;
  }
  Task<Process::VerbLock> locking = all ? process->lock(stop) : process->lock_alive(stop);
  Process::VerbLock lock = co_await std::move(locking);
  if (process != init_) {
    std::static_pointer_cast<ExecProcess>(process)->kill(signal);
    co_return;
  }
  Task<> killing = init_->kill(signal, all, signal == SIGKILL && is_frozen());
  co_await std::move(killing);
}

// After "process already finished" a client may not wait for the exit, but delete at once
// (containerd's client, WithProcessKill).
void Container::publish_exit_soon(Process& process) {
  process.skip_wait_read();
  if (&process != init_.get()) return;
  for (const auto& [id, exec] : execs_) exec->skip_wait_read();
}

void Container::exec(const api::ExecProcessRequest& request) {
  const std::string& exec_id = request.exec_id();
  check_identifier(exec_id, "exec id");
  if (exec_id == "init")
    throw Error::invalid_argument(
        "exec id \"init\" is reserved: its pid file would overwrite the container's");
  if (exec_id == id_)
    throw Error::invalid_argument("exec id \"" + exec_id + "\" is the container's own id");
  for (const std::string* path : {&request.stdin(), &request.stdout(), &request.stderr()})
    check_no_nul(*path, "exec");
  if (execs_.count(exec_id) != 0) throw Error::already_exists("id " + exec_id);
  if (init_->state() == State::exited) throw init_is_not_running(id_);
  if (!init_->made() || !next(kInitRules, init_->state(), Verb::exec))
    throw refusal(init_->state(), Verb::exec);
  Streams streams{request.stdin(), request.stdout(), request.stderr(), request.terminal()};
  ExecProcess::Settings settings{
      id_, bundle_, with_terminal(request.spec().value(), request.terminal()), init_settings_.io};
  settings.io.name = id_ + "/" + exec_id;
  execs_[exec_id] = std::make_shared<ExecProcess>(reaper_, init_->runtime(), exec_id,
                                                  std::move(settings), std::move(streams));
  events::TaskExecAdded event;
  event.set_container_id(id_);
  event.set_exec_id(exec_id);
  events_.publish(kTopicExecAdded, event);
}

Task<std::shared_ptr<Process>> Container::remove(Process::Stop stop, std::string exec_id) {
  std::shared_ptr<Process> process = this->process(exec_id);
  TaskSet deaths;
  deaths.spawn(process->cancel_verbs_when_dead(), "cancel verbs for a deletion");
  Process::VerbLock lock = co_await process->lock(stop);
  lock.set_deletion();
  if (process->state() == State::deleted) co_return process;  // by an earlier Delete
  co_await process->wait_published(stop);
  if (exec_id.empty()) {
    co_await remove_init();
  } else {
    co_await remove_exec(std::static_pointer_cast<ExecProcess>(process));
  }
  co_return process;
}

Task<> Container::remove_init() {
  exits_.set_kill_requested();
  co_await init_->remove();
  // The removal kills an init that was never started: its exit is published before the deletion.
  bool published = !init_->made();
  if (!published) published = co_await TimedWait(reaper_.loop(), init_->ended(), kLastExitLimit);
  if (!published) log::error("deleted container: timed out waiting for its exit", {{"id", id_}});
  for (const auto& [id, exec] : execs_) {
    exec->kill_at_once();  // where the runtime's kill --all has hung
    if (exec->published_state() == State::running) exits_.publish(*exec, exec->last_exit());
    exec->release_waiters();  // where it was never started
  }
  if (!published) exits_.publish(*init_, init_->last_exit());
  init_->release_waiters();  // where it was never restored
  events::TaskDelete event;
  event.set_container_id(id_);
  event.set_pid(static_cast<std::uint32_t>(init_->pid()));
  event.set_exit_status(static_cast<std::uint32_t>(init_->exit() ? init_->exit()->status : 0));
  set_timestamp(event.mutable_exited_at(), init_->exit());
  events_.publish(kTopicDelete, event);
}

Task<> Container::remove_exec(std::shared_ptr<ExecProcess> exec) {
  co_await exec->remove();
  execs_.erase(exec->id());
}

std::vector<Container::Member> Container::members() const {
  std::map<pid_t, std::string> found;
  for (pid_t pid : cgroup_.pids()) found[pid];
  if (found.count(::getpid()) != 0) found.clear();  // the shim's own cgroup
  if (init_->made()) found[init_->pid()];
  for (const auto& [id, exec] : execs_)
    if (exec->state() == State::running) found[exec->pid()] = id;
  std::vector<Member> members;
  for (const auto& [pid, exec_id] : found) members.push_back({pid, exec_id});
  return members;
}

std::string Container::describe() const {
  std::string execs;
  for (const auto& [id, exec] : execs_) execs += (execs.empty() ? "" : ",") + exec->describe();
  return R"({"init":)" + init_->describe() + R"(,"execs":[)" + execs + "]}";
}

std::pair<std::string, std::string> Container::stats() {
  if (!cgroup_.exists()) throw Error::not_found("cgroup does not exist");
  if (!stats_) stats_.emplace(cgroup_);
  return {stats_->type(), stats_->read()};
}

Task<> Container::pause(Process::Stop stop) {
  Process::VerbLock lock = co_await init_->lock(std::move(stop));
  Process::PendingEvent pending(*init_);
  co_await init_->pause();
  if (init_->exit()) throw refusal(State::stopped, Verb::pause);
  events::TaskPaused event;
  event.set_container_id(id_);
  events_.publish(kTopicPaused, event);
}

Task<> Container::resume(Process::Stop stop) {
  Process::VerbLock lock = co_await init_->lock(std::move(stop));
  Process::PendingEvent pending(*init_);
  co_await init_->resume();
  if (init_->exit()) throw refusal(State::stopped, Verb::resume);
  events::TaskResumed event;
  event.set_container_id(id_);
  events_.publish(kTopicResumed, event);
}

Task<> Container::update(Process::Stop stop, std::string resources) {
  Process::VerbLock lock = co_await init_->lock(std::move(stop));
  co_await init_->update(std::move(resources));
}

Task<> Container::checkpoint(Process::Stop stop, std::string path, CheckpointOptions options) {
  Process::VerbLock lock = co_await init_->lock(std::move(stop));
  Process::PendingEvent pending(*init_);
  Runtime::Checkpoint settings;
  settings.image_path = path;
  settings.work_path = options.work_path();
  settings.parent_path = options.parent_path();
  settings.cgroups_mode = options.cgroups_mode();
  settings.empty_namespaces = {options.empty_namespaces().begin(),
                               options.empty_namespaces().end()};
  settings.leave_running = !options.exit();
  settings.open_tcp = options.open_tcp();
  settings.external_unix_sockets = options.external_unix_sockets();
  settings.terminal = options.terminal();
  settings.file_locks = options.file_locks();
  co_await init_->checkpoint(std::move(settings));
  if (init_->exit()) co_return;  // too late for the event
  events::TaskCheckpointed event;
  event.set_container_id(id_);
  event.set_checkpoint(path);
  events_.publish(kTopicCheckpointed, event);
}

}  // namespace thinshim
