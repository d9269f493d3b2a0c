// SPDX-License-Identifier: Apache-2.0
// One container: its init, its execs, and the promises about the order of their events.
//
// - A process's exit is told after its start, an exec's start after it was added, the deletion last
//   of all. How exits come is said in exits.h.
// - Once init is dead no exec is started any more. One that could not be started has no exit.
// - An event of a verb comes before the exit, or not at all.
//
// The verbs must not stop half way: whoever calls them runs them to their end, holding the
// container. By `stop` they can be made to end soon (process.h).
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
  // Reads config.json; throws Error where it cannot.
  Container(Reaper& reaper, EventSink& events, Setup setup);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  const std::string& id() const { return id_; }
  const Bundle& bundle() const { return bundle_; }
  const ContainerSpec& spec() const { return spec_; }
  bool pausing() const { return init_->pausing(); }
  // Whether something of a create that has failed may still be there.
  bool is_left() const { return init_->is_left(); }
  // Init where `exec_id` is empty. Throws Error not_found.
  std::shared_ptr<Process> process(const std::string& exec_id) const;

  Task<> create(Process::Stop stop, api::CreateTaskRequest request);
  // Returns the pid.
  Task<pid_t> start(Process::Stop stop, std::string exec_id);
  Task<> kill(Process::Stop stop, api::KillRequest request);
  void exec(const api::ExecProcessRequest& request);
  // Publishes the exits of those that are dead, without waiting for anything any more: for the
  // shim's end.
  void publish_exits() { exits_.publish_all(); }
  // Returns the process, which then has its last state. A second call joins the first.
  Task<std::shared_ptr<Process>> remove(Process::Stop stop, std::string exec_id);
  Task<> pause(Process::Stop stop);
  Task<> resume(Process::Stop stop);
  // `resources` is the JSON of OCI LinuxResources.
  Task<> update(Process::Stop stop, std::string resources);
  Task<> checkpoint(Process::Stop stop, std::string path, CheckpointOptions options);

  struct Member {
    pid_t pid;
    std::string exec_id;  // empty for init and whatever the container started itself
  };
  // {"init": ..., "execs": [...]}, of Process::describe().
  std::string describe() const;
  // What is in the container's cgroup; where it has none of its own, what is known without it. Init
  // is among them when it is dead too: to containerd from 1.7 on, a shim whose container has nobody
  // is one that never got its container, and when it comes back from a restart it ends such a shim
  // before anybody has asked how the container ended (core/runtime/v2/shim_load.go).
  std::vector<Member> members() const;
  // Type and bytes of io.containerd.cgroups.v1.Metrics or v2.Metrics. Throws Error not_found where
  // the container has no cgroup of its own.
  std::pair<std::string, std::string> stats();

 private:
  void take_charge();
  Task<> start_exec(std::shared_ptr<ExecProcess> exec);
  Task<> remove_init();
  Task<> remove_exec(std::shared_ptr<ExecProcess> exec);
  Task<> send_signal(std::shared_ptr<Process> process, Process::Stop stop, int signal, bool all);
  bool is_frozen() const;
  bool reaches_init(int signal) const;
  void tell_at_once(Process& process);

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
