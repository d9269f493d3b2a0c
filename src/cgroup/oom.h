// SPDX-License-Identifier: Apache-2.0
// Whether the kernel has killed a process of a container because there was no memory left for it.
//
// What counts is a kill, not a limit that was reached (containerd issue 6323), and one in the
// container's own group or below it: a limit of a group above, a pod's, kills in one container and
// is announced to all. Reports that come close together may become one.
//
// An exit is to be told after the kill that caused it, so look() asks the kernel's counters at
// once; by the time that a parent learns of the exit they have been raised.
#pragma once

#include <memory>

#include "async/loop.h"
#include "cgroup/cgroup.h"

namespace thinshim {

class OomWatch {
 public:
  // Kills from now on count. Throws Error where the group has no memory controller.
  OomWatch(Loop& loop, const Cgroup& group);
  OomWatch(const OomWatch&) = delete;
  OomWatch& operator=(const OomWatch&) = delete;
  ~OomWatch();

  // Returns once there was a kill that has not been reported. For one waiter; never returns once
  // the group is gone.
  Task<> next();
  // Whether there was a kill that has not been reported; it is then. Does not wait.
  bool look();
  // The same for the last time: the container's first process is dead. `is_unexplained` where it
  // died of a SIGKILL that nobody has asked for; then a kill counts that only the group above still
  // shows, because the own one is gone (cgroup/oom_v2.h).
  bool look_last(bool is_unexplained);

  // What counts kills with one version of cgroups.
  class Source {
   public:
    virtual ~Source() = default;
    // Readable when there may be something new.
    virtual int descriptor() const = 0;
    virtual bool look() = 0;
    // For an unexplained death.
    virtual bool look_last() { return look(); }
    // The kernel has announced a kill which its counter does not show yet.
    virtual bool announced() const { return false; }
    // None came of it in a second: whether the container waits for memory instead, because it may
    // not be killed (v1 only, memory.oom_control).
    virtual bool stuck() { return false; }
  };

 private:
  Loop& loop_;
  std::unique_ptr<Source> source_;
  Watch watch_;
};

}  // namespace thinshim
