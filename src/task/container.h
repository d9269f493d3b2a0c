// SPDX-License-Identifier: Apache-2.0
// One container: its init, its execs, and the order of their events.
//
// - A process's exit is published after its start, an exec's start after exec-added, the deletion
//   last of all. exits.h says how exits are published.
// - Once init is dead no exec is started. An exec that could not be started has no exit.
// - The event of a verb is published before the exit, or not at all.
//
// A verb must not be destroyed half way: its caller runs it to its end, and owns the container
// meanwhile. To end it soon, set `stop` (process.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/sync.h"
#include "cgroup/cgroup.h"
#include "cgroup/stats.h"
#include "oci/spec.h"
#include "process/reaper.h"
#include "runc_options.pb.h"
#include "task.pb.h"
#include "task/events.h"
#include "task/exec_process.h"
#include "task/exits.h"
#include "task/init_process.h"

namespace thinshim {

namespace api = containerd::task::v3;
using CheckpointOptions = containerd::runc::v1::CheckpointOptions;

class Container {
 public:
  struct Setup {
    std::string id;
    Bundle bundle;
    Runtime::Settings runtime;
    RuncOptions options;
    Streams streams;
    StdioOptions stdio;
    Loggers* loggers = nullptr;
    Duration signal_delay{};  // Process::wait_for_handlers()
  };
  // Reads config.json; throws Error where that fails.
  Container(Reaper& reaper, EventSink& events, Setup setup);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  const std::string& id() const { return id_; }
  const Bundle& bundle() const { return bundle_; }
  const ContainerSpec& spec() const { return spec_; }
  bool pausing() const { return init_->pausing(); }
  // Whether a failed create may have left something behind.
  bool has_leftovers() const { return init_->has_leftovers(); }
  // Init where `exec_id` is empty. Throws Error not_found.
  std::shared_ptr<Process> process(const std::string& exec_id) const;

  Task<> create(Process::Stop stop, api::CreateTaskRequest request);
  // Returns the pid.
  Task<pid_t> start(Process::Stop stop, std::string exec_id);
  Task<> kill(Process::Stop stop, api::KillRequest request);
  void exec(const api::ExecProcessRequest& request);
  // Publishes the exits of the dead processes, without waiting: for the shim's exit.
  void publish_exits() { exits_.publish_all(); }
  // Deletes the process and returns it, for its exit. A second call joins the first.
  Task<std::shared_ptr<Process>> remove(Process::Stop stop, std::string exec_id);
  Task<> pause(Process::Stop stop);
  Task<> resume(Process::Stop stop);
  // `resources` is the JSON of OCI LinuxResources.
  Task<> update(Process::Stop stop, std::string resources);
  Task<> checkpoint(Process::Stop stop, std::string path, CheckpointOptions options);

  struct Member {
    pid_t pid;
    std::string exec_id;  // empty for init, and for what the container started itself
  };
  // {"init": ..., "execs": [...]}, of Process::describe().
  std::string describe() const;
  // The processes in the container's cgroup; where it has none of its own, init and the execs. Init
  // is among them when it is dead too: a restarted containerd (from 1.7 on) takes a shim whose
  // container has no process for one that never got a container, and ends it before any client has
  // read the exit (core/runtime/v2/shim_load.go).
  std::vector<Member> members() const;
  // Type and bytes of io.containerd.cgroups.v1.Metrics or v2.Metrics. Throws Error not_found where
  // the container has no cgroup of its own.
  std::pair<std::string, std::string> stats();

 private:
  void watch_init();
  Task<> start_exec(std::shared_ptr<ExecProcess> exec);
  Task<> remove_init();
  Task<> remove_exec(std::shared_ptr<ExecProcess> exec);
  Task<> pass_verbs(std::shared_ptr<Process> process, Process::Stop stop, bool all);
  Task<> send_signal(std::shared_ptr<Process> process, Process::Stop stop, int signal, bool all);
  bool is_frozen() const;
  bool can_signal_init_directly(int signal) const;
  void publish_exit_soon(Process& process);

  Reaper& reaper_;
  EventSink& events_;
  std::string id_;
  Bundle bundle_;
  ContainerSpec spec_;
  InitProcess::Settings init_settings_;
  std::shared_ptr<InitProcess> init_;
  Execs execs_;
  Cgroup cgroup_;
  std::optional<StatsReader> stats_;
  const Duration signal_delay_;
  Exits exits_;
};

}  // namespace thinshim
