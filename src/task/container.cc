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

// How long the exit of an init that is being deleted before it was started may take to arrive.
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
  Process::Turn turn = co_await init_->take_turn(std::move(stop));
  std::optional<InitProcess::Image> image;
  if (!request.checkpoint().empty())
    image = InitProcess::Image{request.checkpoint(), request.parent_checkpoint()};
  Task<> creating = init_->create(request.rootfs(), std::move(image));
  co_await std::move(creating);
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
  if (init_->made()) take_charge();
}

// The runtime has made init: its cgroup is known, and its end may come.
void Container::take_charge() {
  try {
    cgroup_ = Cgroup::of_process(init_->pid());
  } catch (const Error& error) {
    log::debug("the container's cgroup is not known", {{"id", id_}, {"error", error.what()}});
  }
  exits_.watch_init(cgroup_);
}

Task<pid_t> Container::start(Process::Stop stop, std::string exec_id) {
  std::shared_ptr<Process> process = this->process(exec_id);
  Process::Turn turn = co_await process->take_turn(std::move(stop));
  Process::Announcement announcement(*process);
  if (!exec_id.empty()) {
    Task<> running = start_exec(std::static_pointer_cast<ExecProcess>(process));
    co_await std::move(running);
    co_return process->pid();
  }
  const bool restored = !init_->made();
  Task<> running = init_->start();
  co_await std::move(running);
  if (restored) take_charge();
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
    Task<> running = exec->start();
    co_await std::move(running);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    exits_.exec_is_over();
    std::rethrow_exception(failure);
  }
  // A runtime that hung for so long was killed, but it may have been done by then.
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
  // It was not there yet when init's companions were killed.
  if (too_late || (init_->dead() && !spec_.own_pid_namespace)) exec->kill_at_once();
  if (too_late) throw init_is_not_running(id_);
}

bool Container::is_frozen() const {
  return init_->published_state() == State::paused || init_->pausing() || cgroup_.is_frozen();
}

// Whether the kernel does with a signal for init what the runtime would do with it. The runtime
// thaws who is to die: with cgroup v1 it would not die before, with v2 it would be paused for ever
// to the runtime, which does not delete it then.
bool Container::reaches_init(int signal) const {
  return init_->runtime().settings().direct_signals && init_->made() &&
         (signal != SIGKILL || !is_frozen());
}

Task<> Container::kill(Process::Stop stop, api::KillRequest request) {
  std::shared_ptr<Process> process = this->process(request.exec_id());
  const int signal = static_cast<int>(request.signal());
  if (signal == SIGKILL) process->hurry();
  if (signal == SIGKILL && process == init_) exits_.kill_is_asked();
  Task<> sending = send_signal(process, std::move(stop), signal, request.all());
  try {
    co_await std::move(sending);
  } catch (const Error& error) {
    if (signal == SIGKILL && error.code() == Code::not_found) tell_at_once(*process);
    throw;
  }
}

Task<> Container::send_signal(std::shared_ptr<Process> process, Process::Stop stop, int signal,
                              bool all) {
  const bool is_direct = process == init_ && !all && reaches_init(signal);
  if (is_direct && signal == SIGKILL) {
    init_->signal_directly(signal);
    co_return;
  }
  // Of a start: a signal that comes during one must not reach the runtime's half-made process.
  std::optional<Process::Turn> turn;
  if (!is_direct || init_->is_starting()) {
    Task<Process::Turn> waiting = all ? process->take_turn(stop) : process->take_turn_alive(stop);
    Process::Turn mine = co_await std::move(waiting);
    turn.emplace(std::move(mine));
  }
  if (signal != SIGKILL) {
    Task<> waiting = process->wait_for_handlers(signal_delay_);
    co_await std::move(waiting);
  }
  if (is_direct) {
    init_->signal_directly(signal);
    co_return;
  }
  if (process != init_) {
    std::static_pointer_cast<ExecProcess>(process)->kill(signal);
    co_return;
  }
  Task<> killing = init_->kill(signal, all, signal == SIGKILL && is_frozen());
  co_await std::move(killing);
}

// Who is told that there is nothing to kill may go on without waiting for the exit, to a deletion
// for one (containerd's client, WithProcessKill).
void Container::tell_at_once(Process& process) {
  process.read_enough();
  if (&process != init_.get()) return;
  for (const auto& [id, exec] : execs_) exec->read_enough();
}

void Container::exec(const api::ExecProcessRequest& request) {
  const std::string& exec_id = request.exec_id();
  check_identifier(exec_id, "exec id");
  if (exec_id == "init")
    throw Error::invalid_argument("exec id init: its pid file would be the container's own");
  if (exec_id == id_)
    throw Error::invalid_argument("exec id " + exec_id +
                                  ": its exit would be taken for the container's");
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
  deaths.spawn(process->hurry_when_dead(), "hurry the verb in the way of a deletion");
  Process::Turn turn = co_await process->take_turn(stop);
  turn.is_deletion();
  if (process->state() == State::deleted) co_return process;  // by whom we waited for
  Task<> publishing = process->wait_published(stop);
  co_await std::move(publishing);
  if (exec_id.empty()) {
    Task<> removing = remove_init();
    co_await std::move(removing);
  } else {
    Task<> removing = remove_exec(std::static_pointer_cast<ExecProcess>(process));
    co_await std::move(removing);
  }
  co_return process;
}

Task<> Container::remove_init() {
  exits_.kill_is_asked();
  Task<> removing = init_->remove();
  co_await std::move(removing);
  // One that was never started is killed by its removal: its exit comes before the news of the
  // deletion.
  bool told = !init_->made();
  if (!told) told = co_await TimedWait(reaper_.loop(), init_->ended(), kLastExitLimit);
  if (!told) log::error("the exit of a deleted container has not arrived", {{"id", id_}});
  for (const auto& [id, exec] : execs_) {
    exec->kill_at_once();  // the runtime may have hung that was to end them with init
    if (exec->published_state() == State::running) exits_.publish(*exec, exec->last_exit());
    exec->let_go();  // those that were never started
  }
  if (!told) exits_.publish(*init_, init_->last_exit());
  init_->let_go();  // one that was never restored
  events::TaskDelete event;
  event.set_container_id(id_);
  event.set_pid(static_cast<std::uint32_t>(init_->pid()));
  event.set_exit_status(static_cast<std::uint32_t>(init_->exit() ? init_->exit()->status : 0));
  set_timestamp(event.mutable_exited_at(), init_->exit());
  events_.publish(kTopicDelete, event);
}

Task<> Container::remove_exec(std::shared_ptr<ExecProcess> exec) {
  Task<> removing = exec->remove();
  co_await std::move(removing);
  execs_.erase(exec->id());
}

std::vector<Container::Member> Container::members() const {
  std::map<pid_t, std::string> found;
  for (pid_t pid : cgroup_.pids()) found[pid];
  if (found.count(::getpid()) != 0) found.clear();  // it is the shim's own
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
  Process::Turn turn = co_await init_->take_turn(std::move(stop));
  Process::Announcement announcement(*init_);
  Task<> pausing = init_->pause();
  co_await std::move(pausing);
  if (init_->exit()) throw refusal(State::stopped, Verb::pause);
  events::TaskPaused event;
  event.set_container_id(id_);
  events_.publish(kTopicPaused, event);
}

Task<> Container::resume(Process::Stop stop) {
  Process::Turn turn = co_await init_->take_turn(std::move(stop));
  Process::Announcement announcement(*init_);
  Task<> resuming = init_->resume();
  co_await std::move(resuming);
  if (init_->exit()) throw refusal(State::stopped, Verb::resume);
  events::TaskResumed event;
  event.set_container_id(id_);
  events_.publish(kTopicResumed, event);
}

Task<> Container::update(Process::Stop stop, std::string resources) {
  Process::Turn turn = co_await init_->take_turn(std::move(stop));
  Task<> updating = init_->update(std::move(resources));
  co_await std::move(updating);
}

Task<> Container::checkpoint(Process::Stop stop, std::string path, CheckpointOptions options) {
  Process::Turn turn = co_await init_->take_turn(std::move(stop));
  Process::Announcement announcement(*init_);
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
  Task<> writing = init_->checkpoint(std::move(settings));
  co_await std::move(writing);
  if (init_->exit()) co_return;  // too late for the event
  events::TaskCheckpointed event;
  event.set_container_id(id_);
  event.set_checkpoint(path);
  events_.publish(kTopicCheckpointed, event);
}

}  // namespace thinshim
