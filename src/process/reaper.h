// SPDX-License-Identifier: Apache-2.0
// The one place that waits for children: programs that the shim starts, and the container processes
// that the kernel hands to it, because it is their subreaper, once the runtime that made them has
// ended.
//
// A container's pid is known only after the runtime has written it to a file and gone; by then the
// process may be dead. Whoever is about to learn a pid takes a Hold first. While there is one, an
// exit that belongs to no known child is left as a zombie, unless that child is older than the
// Hold: the exit is not lost, and the kernel cannot give the pid to another process. adopt() makes
// the pid known, and its exit is delivered, whether it lies ahead or behind. (Go's shim keeps a
// cache of exits instead, from which it lost some and credited others wrongly: containerd issues
// 8617, 9719, 10603, 12678.)
//
// For the same reason signals need no pidfd: a known child that has not been reaped keeps its pid,
// only the Reaper reaps, and it marks the child in the same breath.
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
  // Its exit code, or 128 + the signal that killed it, as shells and containerd write it.
  int status = 0;
  // Wall clock, when it was reaped.
  timespec at{};
};

// not_found "process already finished": what Go says of a signal for a process that has ended
// (os.ErrProcessDone), and clients look for.
Error already_finished();

class Reaper;

// A child whose exit matters to somebody. Dropping it loses interest, not the child: it is still
// reaped.
class Child {
 public:
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();

  pid_t pid() const;
  bool exited() const;
  // co_await child.wait(), after which exit() is known.
  Event::Waiting wait();
  // The same for a while: whether it has exited.
  TimedWait wait(Duration limit);
  const Exit& exit() const;
  // Throws Error where it was to be a program and could not be: its exit says nothing then. See
  // StartedProgram::check().
  void check_started() const;
  // Sends a signal. Throws already_finished() where it has exited.
  void signal(int number) const;
  // Sends SIGKILL where it has not exited, and goes on where the kernel refuses that (a security
  // module may): the log has the reason. For whoever must not stop half way.
  void kill() const noexcept;

 private:
  friend class Reaper;
  struct State;
  explicit Child(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Reaper {
 public:
  // Makes this process a child subreaper and takes over SIGCHLD. One per process.
  explicit Reaper(Loop& loop);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  Loop& loop() { return loop_; }

  // Runs a program, without waiting until it runs. Throws Error where there is no child.
  Child start(const Command& command);
  // `Mutex::Guard turn = co_await reaper.turn();` comes before start_in_turn(): one start in a
  // round of the loop, in order. A start takes as long as a hundred other things: others have their
  // turn between two.
  Mutex::Locking turn() { return turn_.lock(); }
  Child start_in_turn(const Command& command, Mutex::Guard turn);
  // A child that was forked elsewhere in this process, just now.
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
  // The child with this pid, which appeared under a Hold that is still there.
  // Throws Error where no such child exists: the pid is another's, or was never ours.
  Child adopt(pid_t pid);

 private:
  friend class Child;
  void release(std::list<std::uint64_t>::iterator hold);
  void sweep();
  void sweep_under_hold();
  void reap_older_orphans();
  void deliver(const Exit& exit);
  Task<> watch_signals();
  Task<> pass_turn_on(Mutex::Guard turn);

  Loop& loop_;
  Mutex turn_;
  Signals signals_;
  std::list<std::uint64_t> holds_;  // when each began, in clock ticks since boot; oldest first
  // Children that are not known, and whether they are older than the oldest Hold: what a sweep need
  // not find out again. None that was reaped is among them: its pid may be another's.
  std::unordered_map<pid_t, bool> is_older_;
  std::unordered_map<pid_t, Child::State*> known_;
  TaskSet tasks_;
};

}  // namespace thinshim
