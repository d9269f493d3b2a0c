// SPDX-License-Identifier: Apache-2.0
// The Reaper is the only caller of wait(2). It reaps the programs that the shim starts, and the
// container processes: the shim is their subreaper, so the kernel reparents them to it when the
// runtime exits.
//
// The shim learns a container's pid from the pid file, after the runtime has exited; by then the
// process may have exited too. So the caller takes a Hold before it runs the runtime. While a Hold
// exists, unknown children that exit stay zombies, unless they are older than the oldest Hold:
// their exits are not lost, and the kernel cannot reuse their pids. adopt() makes the pid known and
// delivers its exit, past or future. (The stock shim caches exits instead, and has lost some or
// assigned them to the wrong process: containerd issues 8617, 9719, 10603, 12678.)
//
// Signals need no pidfd: the pid of a child that has not been reaped is not reused, only the Reaper
// reaps, and it marks the child as exited in the same step.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "async/loop.h"
#include "async/signals.h"
#include "async/sync.h"
#include "base/error.h"
#include "process/command.h"

namespace thinshim {

// How a process ended.
struct Exit {
  pid_t pid = 0;
  // The exit code, or 128 + the number of the signal that killed it, as in shells and containerd.
  int status = 0;
  // Wall clock time at which it was reaped.
  timespec at{};
};

// not_found "process already finished": Go's error for signalling a process that has exited
// (os.ErrProcessDone). Clients match on it.
Error already_finished();

class Reaper;

// A known child: its exit is delivered to this object. Destroying the object does not affect the
// process, which is still reaped.
class Child {
 public:
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();

  pid_t pid() const;
  bool exited() const;
  // `co_await child.wait()` returns when it has exited.
  Event::Waiting wait();
  // The same with a timeout: true if it has exited.
  TimedWait wait(Duration limit);
  // Valid once exited() is true.
  const Exit& exit() const;
  // Throws Error if the child is a program that could not be run; its exit status means nothing
  // then. See StartedProgram::check().
  void check_started() const;
  // kill(2). Throws already_finished() if it has exited.
  void signal(int number) const;
  // Sends SIGKILL if it has not exited. Logs an error instead of throwing (a security module may
  // refuse the signal).
  void kill() const noexcept;

 private:
  friend class Reaper;
  struct State;
  explicit Child(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Reaper {
 public:
  // Makes this process a child subreaper and blocks SIGCHLD. One per process. Throws Error.
  explicit Reaper(Loop& loop);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  Loop& loop() { return loop_; }

  // Starts a program; does not wait for execve(2). Throws Error if clone(2) fails.
  Child start(Command command);
  // Limits starts to one per iteration of the loop, in order:
  // `Mutex::Guard turn = co_await reaper.turn();`, then start_in_turn(). A start takes as long as a
  // hundred other callbacks, which run between two starts.
  Mutex::Locking turn() { return turn_.lock(); }
  Child start_in_turn(Command command, Mutex::Guard turn);
  // Makes a child known that the caller has just forked.
  Child take(pid_t pid);

  class Hold {
   public:
    Hold(Hold&& other) noexcept
        : reaper_(std::exchange(other.reaper_, nullptr)), position_(other.position_) {}
    ~Hold() {
      if (reaper_) reaper_->release(position_);
    }

   private:
    friend class Reaper;
    Hold(Reaper& reaper, std::list<std::uint64_t>::iterator position)
        : reaper_(&reaper), position_(position) {}
    Reaper* reaper_;
    std::list<std::uint64_t>::iterator position_;
  };
  Hold hold();
  // Makes a child known that was reparented to this process while the caller held a Hold, which
  // still exists. Throws Error if the pid is not a child of this process, or is already known.
  Child adopt(pid_t pid);

 private:
  friend class Child;
  void release(std::list<std::uint64_t>::iterator hold);
  void sweep();
  // Each returns whether it has stopped at its limit, and must be called again.
  bool sweep_once();
  bool sweep_under_hold();
  bool reap_older_orphans();
  Task<> sweep_later();
  void deliver(const Exit& exit);
  Task<> watch_signals();
  Task<> pass_turn_on(Mutex::Guard turn);

  Loop& loop_;
  Mutex turn_;
  Signals signals_;
  std::list<std::uint64_t> holds_;  // their begins in clock ticks since boot; oldest first
  // Caches, for unknown children, whether they are older than the oldest Hold. Entries of reaped
  // children are removed: the kernel may reuse their pids.
  std::unordered_map<pid_t, bool> is_older_;
  std::unordered_map<pid_t, Child::State*> known_;
  TaskSet tasks_;
  TaskSet sweeping_;
};

}  // namespace thinshim
