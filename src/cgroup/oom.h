// SPDX-License-Identifier: Apache-2.0
// Reports OOM kills in a container.
//
// It reports kills, not limits that were reached (containerd issue 6323), and only those in the
// container's cgroup and its descendants: a pod's limit kills in one container, but the kernel
// notifies all of them. Kills in quick succession may become one report.
//
// An exit is published after the OOM kill that caused it. So poll() reads the kernel's counters
// without waiting: the kernel has raised them before the parent can reap the process.
#pragma once

#include <memory>

#include "async/loop.h"
#include "cgroup/cgroup.h"

namespace thinshim {

class OomWatch {
 public:
  // Reports kills from now on. Throws Error where the cgroup has no memory controller.
  OomWatch(Loop& loop, const Cgroup& group);
  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;
  ~OomWatch();

  // Returns at the next unreported kill. For one waiter; never returns after the cgroup was
  // removed.
  Task<> next();
  // Whether there was an unreported kill; it counts as reported then. Does not wait.
  bool poll();
  // The last poll(), after init has exited. `is_unexplained`: a SIGKILL that neither a client nor
  // the shim sent has killed init. If the cgroup was removed already, a kill counted in its parent
  // is then taken for the container's (cgroup/oom_v2.h).
  bool poll_last(bool is_unexplained);

  // The counters of one version of cgroups.
  class Source {
   public:
    virtual ~Source() = default;
    // Readable when there may be a new kill.
    virtual int descriptor() const = 0;
    virtual bool poll() = 0;
    // poll_last() with `is_unexplained`
    virtual bool poll_last() { return poll(); }
    // The kernel has notified of a kill that its counter does not include yet.
    virtual bool is_kill_pending() const { return false; }
    // Called where no kill followed within a second. Whether the container waits for memory instead
    // (v1 only, oom_kill_disable in memory.oom_control).
    virtual bool waits_for_memory() { return false; }
  };

 private:
  Loop& loop_;
  std::unique_ptr<Source> source_;
  Watch watch_;
};

}  // namespace thinshim
