// SPDX-License-Identifier: Apache-2.0
#include "task/exits.h"

#include <signal.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "task_events.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;
namespace events = containerd::events;

// How long killing the other processes of a shared pid namespace may hold init's exit back.
constexpr Duration kKillAllLimit = 10s;
// How long execs may hold it back: before they are cancelled or killed, and after that.
constexpr Duration kExecsLimit = 5s;

}  // namespace

// Publishes the exit when it goes out of scope.
class Exits::PendingExit {
 public:
  PendingExit(Exits& exits, std::shared_ptr<Process> process, const Exit& exit,
              bool announced = true)
      : exits_(exits), process_(std::move(process)), exit_(exit), announced_(announced) {}
  ~PendingExit() {
    if (announced_)
      exits_.publish(*process_, exit_);
    else if (!process_->exit())
      process_->set_exited(exit_);
    if (process_ != exits_.setup_.init) exits_.exec_is_over();
  }
  PendingExit(const PendingExit&) = delete;
  PendingExit& operator=(const PendingExit&) = delete;

 private:
  Exits& exits_;
  std::shared_ptr<Process> process_;
  Exit exit_;
  bool announced_;  // its start was published
};

Exits::Exits(Reaper& reaper, EventSink& sink, const Execs& execs, Setup setup)
    : reaper_(reaper), events_(sink), execs_(execs), setup_(std::move(setup)) {}

void Exits::watch_init(const Cgroup& cgroup) {
  cgroup_ = &cgroup;
  try {
    oom_.emplace(reaper_.loop(), cgroup);
    watches_.spawn(watch_memory(), "watch the memory of " + setup_.id);
  } catch (const Error& error) {
    log::debug("OOM events are not watched", {{"id", setup_.id}, {"error", error.what()}});
  }
  watches_.spawn(watch_init_exit(), "watch the init of " + setup_.id);
}

void Exits::watch_exec(std::shared_ptr<ExecProcess> exec, bool announced) {
  watches_.spawn(watch_exec_exit(exec, announced), "watch exec " + exec->id() + " of " + setup_.id);
}

Task<> Exits::watch_memory() {
  for (;;) {
    co_await oom_->next();
    oom_pending_ = true;
    co_await wait_pending_events();
    if (std::exchange(oom_pending_, false)) publish_oom();
  }
}

// A process may be OOM-killed before its Start has returned. One limit for all of them together.
Task<> Exits::wait_pending_events() {
  std::vector<std::shared_ptr<Process>> processes{setup_.init};
  for (const auto& [id, exec] : execs_) processes.push_back(exec);
  TaskSet waits;
  for (const auto& process : processes)
    waits.spawn(process->wait_pending_event(), "wait for a start's event");
  co_await waits.wait_empty();
}

Task<> Exits::watch_init_exit() {
  Exit exit = co_await setup_.init->wait_dead();
  PendingExit pending(*this, setup_.init, exit);
  write_exit(exit);
  co_await end_execs();
  co_await setup_.init->wait_pending_event();
  co_await setup_.init->wait_read();
}

// Where init had a pid namespace of its own, the kernel has killed all others by now.
Task<> Exits::end_execs() {
  if (!setup_.own_pid_namespace) {
    try {
      Task<> killing = setup_.init->kill_all();
      bool killed = co_await within(reaper_.loop(), kKillAllLimit, std::move(killing));
      if (!killed) log::error("killing the container's processes timed out", {{"id", setup_.id}});
    } catch (const Error& error) {
      log::error("failed to kill init's children", {{"id", setup_.id}, {"error", error.what()}});
    }
    // The runtime may have failed, or been killed, between freezing the container and thawing it:
    // nothing frozen dies, and the container could not be deleted.
    if (cgroup_->is_frozen()) {
      co_await within(reaper_.loop(), kKillAllLimit, setup_.init->thaw());
    }
    for (const auto& [id, exec] : execs_)
      if (exec->published_state() == State::running) exec->kill_at_once();
  }
  bool over = co_await wait_execs(kExecsLimit);
  if (over) co_return;
  log::error("execs still run after init exited; cancelling those that are being started",
             {{"id", setup_.id}});
  for (const auto& [id, exec] : execs_) exec->cancel_verb();
  over = co_await wait_execs(kExecsLimit);
  if (!over)
    log::error("execs cannot be killed; init's exit is published before theirs",
               {{"id", setup_.id}});
}

Task<bool> Exits::wait_execs(Duration limit) {
  if (execs_in_flight_ == 0) co_return true;
  execs_over_.clear();
  co_return co_await TimedWait(reaper_.loop(), execs_over_, limit);
}

void Exits::publish_all() {
  for (const auto& [id, exec] : execs_)
    if (exec->dead() && exec->published_state() == State::running)
      publish(*exec, exec->last_exit());
  if (setup_.init->state() == State::exited) publish(*setup_.init, setup_.init->last_exit());
}

Task<> Exits::watch_exec_exit(std::shared_ptr<ExecProcess> exec, bool announced) {
  Exit exit = co_await exec->wait_dead();
  PendingExit pending(*this, exec, exit, announced);
  co_await exec->wait_pending_event();
  co_await exec->wait_read();
}

void Exits::exec_is_over() {
  if (--execs_in_flight_ == 0) execs_over_.set();
}

void Exits::write_exit(const Exit& exit) {
  if (std::exchange(exit_written_, true)) return;
  try {
    setup_.bundle.write_exit(exit);
  } catch (const std::exception& error) {
    log::error("failed to write exit.json", {{"id", setup_.id}, {"error", error.what()}});
  }
}

void Exits::publish(Process& process, const Exit& exit) {
  if (process.exit()) return;  // a deletion did not wait for it
  publish_oom_before(process, exit);
  if (&process == setup_.init.get()) write_exit(exit);
  process.set_exited(exit);
  events::TaskExit event;
  event.set_container_id(setup_.id);
  event.set_id(process.id());
  event.set_pid(static_cast<std::uint32_t>(process.pid()));
  event.set_exit_status(static_cast<std::uint32_t>(exit.status));
  set_timestamp(event.mutable_exited_at(), exit);
  events_.publish(kTopicExit, event);
}

void Exits::publish_oom_before(const Process& process, const Exit& exit) {
  const bool is_unexplained =
      &process == setup_.init.get() && exit.status == 128 + SIGKILL && !kill_requested_;
  try {
    const bool is_new = oom_ && oom_->poll_last(is_unexplained);
    if (std::exchange(oom_pending_, false) || is_new) publish_oom();
  } catch (const std::exception& error) {
    log::error("failed to read the count of OOM kills",
               {{"id", setup_.id}, {"error", error.what()}});
  }
}

void Exits::publish_oom() {
  events::TaskOOM event;
  event.set_container_id(setup_.id);
  events_.publish(kTopicOom, event);
}

}  // namespace thinshim
