// SPDX-License-Identifier: Apache-2.0
// The runtime and the container's processes, controlled by a script. Every call of the runtime is a
// process (runtime_main.cc) that blocks until the script lets it continue, and every process of the
// container lives until the script or a signal ends it. The effects of a call happen here, in the
// test's own process, so that it always knows whether something is under way.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"
#include "orders/kernel.h"
#include "orders/trace.h"

namespace thinshim::orders {

inline constexpr const char* kContainer = "c";
// "e1" and "e2"; empty for init.
std::string exec_id_of(Role role);
// The exit status of a process that exits by itself.
int exit_status_of(Role role);

class ScriptedRuntime final : public KernelHooks {
 public:
  struct Settings {
    std::string socket;  // $ORDERS_SOCKET of the runtime's processes
    std::string state;   // the runtime's directory of the container
    bool own_pid_namespace = true;
    Signals signals = Signals::delivered;
  };
  // Calls `write` for each entry of the trace when it happens.
  using Write = std::function<void(Entry)>;
  ScriptedRuntime(Loop& loop, Settings settings, Write write);
  ~ScriptedRuntime() override;
  ScriptedRuntime(const ScriptedRuntime&) = delete;
  ScriptedRuntime& operator=(const ScriptedRuntime&) = delete;

  // A call of the runtime.
  struct Call {
    int number = 0;
    pid_t pid = 0;
    std::string verb;
    Role role = Role::init;
    bool all = false;
    bool force = false;
    std::string pid_file;
    std::string bundle;
    Fd socket;
    std::optional<Watch> watch;
    bool is_blocked = false;     // it waits for the script
    bool has_created = false;    // its process
    bool succeeds_next = false;  // as soon as it has created its process
    bool has_ended = false;
  };
  // The blocked calls, in the order in which they began.
  std::vector<Call*> calls() const;

  // Whether create_process() is possible.
  bool can_create(const Call& call) const;
  // Creates the call's process; the call blocks again.
  void create_process(Call& call);
  // Does what the call is for and ends it with success; ends it with an error if that is
  // impossible.
  void succeed(Call& call);
  void fail(Call& call, const std::string& reason);
  void kill_call(Call& call);
  // From now on calls succeed at once, and signals are delivered.
  void unblock_all();

  // A process of the container.
  struct Process {
    Role role = Role::init;
    pid_t pid = 0;
    bool dead = false;  // or about to die
    bool has_pending_sigkill = false;
  };
  // The last process that was created in this role, if any.
  const std::optional<Process>& process(Role role) const {
    return processes_[static_cast<std::size_t>(role)];
  }
  bool is_alive(Role role) const { return process(role) && !process(role)->dead; }
  // The process exits by itself.
  void end_process(Role role);
  // Kills all processes of the container, without the service.
  void kill_all();

  // Waits until nothing is under way, and every component waits.
  Task<> wait_until_idle();

  bool is_busy() override;
  bool on_idle() override;
  int kill(pid_t pid, int signal) override;
  void on_stuck() override;

 private:
  Task<> accept();
  Task<> serve_call(std::shared_ptr<Call> call);
  void read_arguments(Call& call, const std::string& arguments);
  void on_process_created(Call& call, pid_t pid);
  // Sends a command to the call's process, which continues.
  void send(Call& call, const std::string& command);
  void record_end(Call& call, const std::string& how);
  // Whether the runtime has a state of the container.
  bool has_container() const;
  // Has the effects of the call. Returns why that is impossible, or an empty string.
  std::string perform(Call& call);
  std::string perform_delete(const Call& call);
  // What `runc state` prints; only if has_container().
  std::string state_text() const;
  void end(Process& process, int signal, int status);
  bool is_waiting(pid_t pid) const;

  Loop& loop_;
  Settings settings_;
  Write write_;
  Fd listener_;
  Watch watch_;
  Fd idle_event_;
  Watch idle_watch_;
  bool awaits_idle_ = false;
  bool unblocked_ = false;
  bool started_ = false;
  int last_call_ = 0;
  std::string bundle_;  // of the container that the runtime knows
  std::list<std::shared_ptr<Call>> calls_;
  std::array<std::optional<Process>, 3> processes_;
  std::set<pid_t> killed_calls_;  // by the service
  TaskSet connections_;
};

}  // namespace thinshim::orders
