// SPDX-License-Identifier: Apache-2.0
// The command line of an OCI runtime, as runc defines it (runc create --help). crun and youki
// follow it.
//
// Each call runs the runtime as a child process; calls do not wait for each other. A call has no
// timeout: setting its `stop` event kills the child.
//
// An error holds the last error of the runtime's log. Where the log has none, it holds the program,
// its exit status and its output. Where the log cannot be read, "unable to retrieve OCI runtime
// error (reason): " stands in front, as in the stock shim (process/init.go, runtimeError). Each
// call except create and restore has its own log, so concurrent calls do not read each other's
// errors. No call depends on a descriptor above 2 (call_file.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "process/reaper.h"
#include "process/run.h"

namespace thinshim {

class Runtime {
 public:
  struct Settings {
    std::string binary = "runc";
    std::string root;  // the runtime's state, including the directory of the namespace
    bool systemd_cgroup = false;
    // The runtime's `kill` only sends the signal to the process whose pid it wrote at creation.
    bool direct_signals = true;
    // The container's bundle, for the files of the calls; empty where there is none.
    std::string bundle = {};
  };
  Runtime(Reaper& reaper, Settings settings) : reaper_(reaper), settings_(std::move(settings)) {}
  const Settings& settings() const { return settings_; }

  // The runtime writes the pid of the process that it makes into this file.
  struct PidFile {
    std::string path;
    const char* of = "container";  // or "exec"
    // "failed to retrieve OCI runtime container pid: reason", as in the stock shim (process/init.go
    // and exec.go).
    Error error(const std::string& reason) const;
  };
  struct Start {
    std::vector<int> fds;  // the container's 0, 1 and 2; -1: /dev/null
    std::optional<std::string> console_socket;
    PidFile pid_file;
    Event* stop = nullptr;
  };
  struct Create {
    std::string bundle;
    std::string log;  // in the bundle; stays after the call
    bool no_pivot = false;
    bool no_new_keyring = false;
    Start start;
  };

  // criu writes the checkpoint. The options are runc's (runc checkpoint --help).
  struct Checkpoint {
    std::string image_path;
    std::string work_path;
    std::string parent_path;
    std::string cgroups_mode;
    std::vector<std::string> empty_namespaces;
    bool leave_running = false;
    bool open_tcp = false;
    bool external_unix_sockets = false;
    bool terminal = false;
    bool file_locks = false;
  };
  struct Restore {
    std::string bundle;
    std::string log;  // as create's
    std::string image_path;
    std::string work_path;
    std::string parent_path;
    bool no_pivot = false;
    Start start;
  };

  // Each throws Error "WHAT: reason", with the stock shim's WHAT ("OCI runtime create failed").
  Task<> create(std::string id, Create options);
  Task<> start(std::string id, Event* stop = nullptr);
  // `process` is the JSON of an OCI process.
  Task<> exec(std::string id, std::string process, Start options);
  Task<> pause(std::string id, Event* stop = nullptr);
  Task<> resume(std::string id, Event* stop = nullptr);
  // `resources` is the JSON of OCI LinuxResources.
  Task<> update(std::string id, std::string resources, Event* stop = nullptr);
  Task<> restore(std::string id, Restore options);
  // checkpoint() and kill() throw the reason alone; remove(): "failed to delete task: reason".
  Task<> checkpoint(std::string id, Checkpoint options, Event* stop = nullptr);
  Task<> kill(std::string id, int signal, bool all, Event* stop = nullptr);
  Task<> remove(std::string id, bool force, Event* stop = nullptr);

  // What the runtime's `state` prints (runtime-spec, runtime.md, Query State).
  struct State {
    std::string bundle;
    std::string status;  // "creating", "created", "running", "stopped"
  };
  // Nothing where the runtime reports that the container does not exist. Throws Error, the reason
  // alone, where `state` fails otherwise or prints no state.
  Task<std::optional<State>> state(std::string id, Event* stop = nullptr);

  // Whether the runtime has state of a container, read from `root` without a call. runc, crun and
  // youki, which are recognized by name, keep it in ROOT/ID. For other runtimes: unknown (gVisor's
  // runsc, for example, keeps it in ROOT/ID_sandbox:SANDBOX.state).
  enum class Knows { no, yes, unknown };
  Knows knows(const std::string& id) const { return knows(settings_, id); }
  // ROOT/ID.
  std::string state_path(const std::string& id) const;
  static Knows knows(const Settings& settings, const std::string& id);

 private:
  struct Call {
    std::string what;
    std::vector<std::string> arguments;
    std::vector<int> fds;
    std::string log;  // empty: a log for this call alone
    Event* stop = nullptr;
    bool for_container = false;    // the container inherits `fds`; missing ones become /dev/null
    PidFile pid_file = {};         // a successful call must have written it, where it has a path
    bool separate_stderr = false;  // keep stderr out of the returned output
  };
  // Returns the output of the runtime.
  Task<std::string> call(Call call);

  Reaper& reaper_;
  Settings settings_;
};

}  // namespace thinshim
