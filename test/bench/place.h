// SPDX-License-Identifier: Apache-2.0
// containerd's side of a shim, without its API: bundles, the actions `start` and `delete`, and the
// bare runtime commands to compare with. All with the same options for every peer.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "async/loop.h"
#include "base/fd.h"
#include "bench/event_sink.h"
#include "process/command.h"
#include "support/leftovers.h"
#include "wire.pb.h"

namespace thinshim::bench {

using Words = std::vector<std::string>;

// A shim binary, and the runtime that it uses.
struct Peer {
  std::string name;
  std::string shim;
  std::string runtime = "runc";
};

// The settings of a run.
struct Ground {
  Loop& loop;
  EventSink& events;
  std::filesystem::path directory;
  std::string name;  // containerd namespaces begin with it
  bool quick;        // one round: every row, with the least work that gives a number
};

// The cost of a program that has exited.
struct Run {
  double milliseconds = 0;
  double cpu = 0;  // milliseconds, its own and its children's
  std::string output;
};

// One peer in a containerd namespace of its own.
class Place {
 public:
  Place(const Ground& ground, const Peer& peer);
  // Throws Error if a process, a mount, a socket, runtime state or a cgroup is left.
  void expect_nothing_left();

  const Ground& ground() const { return ground_; }
  const Peer& peer() const { return peer_; }

  // --- bundles. `group`: of containers that share a shim.
  std::filesystem::path bundle(const std::string& id) const { return directory_ / id; }
  void make_bundle(const std::string& id, const Words& arguments, bool terminal = false,
                   const std::string& group = "");
  void remove_bundle(const std::string& id);
  // The one mount that containerd passes with Create.
  std::filesystem::path rootfs() const { return ground_.directory / "rootfs"; }
  wire::Any options() const;

  // --- the binary. The answer of `start` comes on `answer`, until end of file.
  struct Starting {
    pid_t pid;
    Fd answer;
  };
  Starting begin_start(const std::string& id) const;
  Run end_start(Starting starting) const;
  Run start(const std::string& id) const;
  Run remove(const std::string& id) const;  // the action `delete`

  // --- the runtime alone, as shims call it
  Run runtime(const Words& arguments) const;
  std::filesystem::path pid_file() const { return directory_ / "runtime.pid"; }

 private:
  Command shim_command(const std::string& id, const Words& more) const;

  const Ground& ground_;
  const Peer& peer_;
  std::string namespace_;
  std::filesystem::path directory_;
  test::Leftovers leftovers_;
  std::map<std::string, Fd> logs_;
};

// Waits for a child and returns its usage with that of its children; the status goes to `status`.
rusage wait_for(pid_t pid, int& status);
// Waits for all children that have exited already, also reparented ones.
void reap_orphans();

}  // namespace thinshim::bench
