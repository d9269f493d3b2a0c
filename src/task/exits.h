// SPDX-License-Identifier: Apache-2.0
// How a container's processes end: their deaths are waited for, and their exits published.
//
// - Each process that was started has exactly one exit. A watch publishes it when it ends, whatever
//   has failed in it.
// - Every exec's exit is told before init's: execs that run in a pid namespace that outlives init
//   are killed with it, and one that is still being started then is given up after a while
//   (containerd issues 9719, 9999, 10603). Nobody is waited for for long.
// - What killed a process for want of memory is told before its exit, and after its start.
// - Init's exit stands in the bundle as soon as it is known, for a shim that dies before it is
// told.
// - What a process has written is read before its exit is told, within limits (process.h).
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

  // Init was made; its memory is watched where it has a cgroup.
  void watch_init(const Cgroup& cgroup);
  // An exec is being started, and holds init's exit back until it is over: with its exit, where it
  // is watched, or without one. `announced` says whether clients know that it was started.
  void exec_begins() { ++execs_in_flight_; }
  void watch_exec(std::shared_ptr<ExecProcess> exec, bool announced);
  void exec_is_over();
  // A client has asked for the SIGKILL of which init will die.
  void kill_is_asked() { kill_is_asked_ = true; }

  // Once for each process, whoever comes first.
  void publish(Process& process, const Exit& exit);
  // Of those that are dead, without waiting for anything any more.
  void publish_all();

 private:
  class Exiting;
  Task<> watch_memory();
  Task<> starts_announced();
  Task<> until_init_has_ended();
  Task<> until_exec_has_ended(std::shared_ptr<ExecProcess> exec, bool announced);
  Task<> end_execs();
  Task<bool> execs_end_within(Duration limit);
  void record(const Exit& exit);
  void publish_oom();
  void publish_last_oom(const Process& process, const Exit& exit);

  Reaper& reaper_;
  EventSink& events_;
  const Execs& execs_;
  Setup setup_;
  std::optional<OomWatch> oom_;
  // Execs that were started, or are being started, and whose exit has not been told.
  int execs_in_flight_ = 0;
  bool recorded_ = false;  // init's exit
  bool oom_is_untold_ = false;
  bool kill_is_asked_ = false;
  Event execs_over_;
  TaskSet watches_;
};

// Of an exit; for one that has not happened, Go's zero time (year 1), as the stock shim writes it.
void set_timestamp(wire::Timestamp* timestamp, const std::optional<Exit>& exit);

}  // namespace thinshim
