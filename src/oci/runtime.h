// SPDX-License-Identifier: Apache-2.0
// The command line of an OCI runtime as runc defined it (runc create --help; crun and youki follow
// it).
//
// Every call is a child process of its own and may take as long as it likes, or until its `stop` is
// set, by which it is killed; nothing here waits for another call. A failure carries the runtime's
// own reason: the last error of its log, else its program, which may be no runtime at all, with its
// exit status and what it printed. Each call but create has a log of its own, so that calls at the
// same time never read each other's reasons. No call depends on a descriptor above 2
// (call_file.h).
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
    std::string root;  // where the runtime keeps its state, the namespace's directory included
    bool systemd_cgroup = false;
    // Its `kill` does no more than to send the signal to the process that it has named at creation.
    bool direct_signals = true;
    // The container's, for the files of its calls; empty where there is none (any more).
    std::string bundle = {};
  };
  Runtime(Reaper& reaper, Settings settings) : reaper_(reaper), settings_(std::move(settings)) {}
  const Settings& settings() const { return settings_; }

  struct Start {
    std::vector<int> fds;  // 0, 1, 2 of the container; -1: /dev/null
    std::optional<std::string> console_socket;
    std::string pid_file;
    Event* stop = nullptr;
  };
  struct Create {
    std::string bundle;
    std::string log;  // in the bundle, for whoever comes later
    bool no_pivot = false;
    bool no_new_keyring = false;
    Start start;
  };

  // Of a checkpoint, which criu writes; the names are runc's (runc checkpoint --help).
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
    std::string image_path;
    std::string work_path;
    std::string parent_path;
    bool no_pivot = false;
    Start start;
  };

  // Each throws Error "WHAT: reason", with WHAT as the stock shim words it ("OCI runtime create
  // failed").
  Task<> create(std::string id, Create options);
  Task<> start(std::string id, Event* stop = nullptr);
  // `process` is the JSON of an OCI process.
  Task<> exec(std::string id, std::string process, Start options);
  Task<> pause(std::string id, Event* stop = nullptr);
  Task<> resume(std::string id, Event* stop = nullptr);
  // `resources` is the JSON of OCI LinuxResources.
  Task<> update(std::string id, std::string resources, Event* stop = nullptr);
  Task<> restore(std::string id, Restore options);
  // These two throw the reason alone.
  Task<> checkpoint(std::string id, Checkpoint options, Event* stop = nullptr);
  Task<> kill(std::string id, int signal, bool all, Event* stop = nullptr);
  Task<> remove(std::string id, bool force, Event* stop = nullptr);

  // What its `state` says of a container (runtime-spec, runtime.md, Query State).
  struct State {
    std::string bundle;
    std::string status;  // "creating", "created", "running", "stopped"
  };
  // Nothing where it says that there is none. Throws Error, the reason alone, where it says
  // neither.
  Task<std::optional<State>> state(std::string id, Event* stop = nullptr);

  // Whether it keeps state of a container, as far as that can be seen in `root` without asking it:
  // runc, crun and youki, which are known by their names, keep it in ROOT/ID. Others do as they
  // like: gVisor's runsc, for one, in ROOT/ID_sandbox:SANDBOX.state.
  enum class Knows { no, yes, unknown };
  Knows knows(const std::string& id) const { return knows(settings_, id); }
  static Knows knows(const Settings& settings, const std::string& id);

 private:
  struct Call {
    std::string what;
    std::vector<std::string> arguments;
    std::vector<int> fds;
    std::string log;  // empty: one of its own
    Event* stop = nullptr;
    bool for_container = false;  // which gets /dev/null for what is missing of 0, 1 and 2
    std::string pid_file = {};   // that it must have written then
    bool answers = false;        // on stdout, whatever it says on stderr
  };
  // Returns what it printed.
  Task<std::string> call(Call call);

  Reaper& reaper_;
  Settings settings_;
};

}  // namespace thinshim
