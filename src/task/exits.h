// SPDX-License-Identifier: Apache-2.0
// Waits for a container's processes to exit, and publishes their exits.
//
// - Each process that was started has exactly one exit. Its watch publishes it when it ends,
//   whatever has failed in it.
// - Every exec's exit is published before init's: execs in a pid namespace that outlives init are
//   killed with it, and an exec that is still being started is cancelled (containerd issues 9719,
//   9999, 10603). Each wait has a limit.
// - An OOM kill is published before the exit that it caused, and after the start.
// - Init's exit is written to exit.json in the bundle at once, for a `delete` after the shim has
//   died.
// - The output of a process is read before its exit is published, within limits (process.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "async/sync.h"
#include "cgroup/oom.h"
#include "oci/bundle.h"
#include "process/reaper.h"
#include "task/events.h"
#include "task/exec_process.h"
#include "task/init_process.h"
#include "wire.pb.h"

namespace thinshim {

using Execs = std::map<std::string, std::shared_ptr<ExecProcess>>;

class Exits {
 public:
  struct Setup {
    std::string id;  // of the container
    Bundle bundle;
    bool own_pid_namespace;
    std::shared_ptr<InitProcess> init;
  };
  // The execs must outlive it.
  Exits(Reaper& reaper, EventSink& events, const Execs& execs, Setup setup);
  Exits(const Exits&) = delete;
  Exits& operator=(const Exits&) = delete;

  // Once init was made. Its OOM kills are watched where it has a cgroup, which must outlive this.
  void watch_init(const Cgroup& cgroup);
  // An exec that is being started holds init's exit back until its own exit, where it is watched,
  // or until exec_is_over(). `announced`: its start was published.
  void exec_begins() { ++execs_in_flight_; }
  void watch_exec(std::shared_ptr<ExecProcess> exec, bool announced);
  void exec_is_over();
  // A SIGKILL of init's is a client's, not the kernel's for lack of memory.
  void set_kill_requested() { kill_requested_ = true; }

  // Only the first call for a process publishes.
  void publish(Process& process, const Exit& exit);
  // Publishes the exits of the dead processes, without waiting.
  void publish_all();

 private:
  class PendingExit;
  Task<> watch_memory();
  Task<> wait_pending_events();
  Task<> watch_init_exit();
  Task<> watch_exec_exit(std::shared_ptr<ExecProcess> exec, bool announced);
  Task<> end_execs();
  Task<bool> wait_execs(Duration limit);
  void write_exit(const Exit& exit);
  void publish_oom();
  void publish_oom_before(const Process& process, const Exit& exit);

  Reaper& reaper_;
  EventSink& events_;
  const Execs& execs_;
  Setup setup_;
  const Cgroup* cgroup_ = nullptr;  // init's
  std::optional<OomWatch> oom_;
  // Execs that were started, or are being started, and whose exit has not been published.
  int execs_in_flight_ = 0;
  bool exit_written_ = false;  // init's
  bool oom_pending_ = false;
  bool kill_requested_ = false;
  Event execs_over_;
  TaskSet watches_;
};

}  // namespace thinshim
