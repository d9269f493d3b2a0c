// SPDX-License-Identifier: Apache-2.0
// What a container's init and its execs have in common: an id, streams, a state, and an exit for
// which any number of clients may wait.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "async/sync.h"
#include "oci/runtime.h"
#include "process/reaper.h"
#include "stdio/process_io.h"
#include "task/state.h"
#include "ttrpc/reply.h"
#include "wire.pb.h"

namespace thinshim {

class Process {
 public:
  Process(Reaper& reaper, std::string id, Streams streams);
  virtual ~Process();

  const std::string& id() const { return id_; }
  const Streams& streams() const { return streams_; }
  State state() const {
    const bool unpublished = dead() && !exit_ && state_ != State::deleted;
    return unpublished ? State::exited : state_;
  }
  // The state that clients see: that before the exit, until the exit is published.
  State published_state() const { return state_; }
  // 0 before the runtime has made the process; kept after the exit.
  pid_t pid() const { return pid_; }
  // Nothing before set_exited().
  const std::optional<Exit>& exit() const { return exit_; }
  // Answers a Wait once the exit is published, or once there will be none: the process could not be
  // started, or was deleted before its start.
  void answer_when_ended(Reply reply);
  // The same for callers in the shim.
  Event& ended() { return ended_; }

  void close_stdin();
  // Throws Error.
  virtual void resize(unsigned width, unsigned height);

  // Holds the exit back while a verb runs that has an event of its own: that event is published
  // first. Where the verb takes too long (wait_pending_event()) the exit is published without it,
  // and the verb publishes no event.
  class PendingEvent {
   public:
    explicit PendingEvent(Process& process) : process_(process) {
      process_.no_event_pending_.clear();
    }
    ~PendingEvent() { process_.no_event_pending_.set(); }
    PendingEvent(const PendingEvent&) = delete;
    PendingEvent& operator=(const PendingEvent&) = delete;

   private:
    Process& process_;
  };

  // Waits for the process to exit. Only for a process that was made.
  Task<Exit> wait_dead();
  // Waits for the event of the verb under way: for 5 s, or until 5 s after the exit.
  Task<> wait_pending_event();
  // Waits, for 2 s at most, while clients read the output of the dead process: many of them close
  // the fifos once the exit is published, and read no more (containerd's client, task.Delete).
  Task<> wait_read();
  // Ends wait_read(), now and later.
  void skip_wait_read() { skip_wait_read_.set(); }
  // Waits until the exit of a dead process is published. Throws Error deadline_exceeded where
  // `stop` is set before.
  using Stop = std::shared_ptr<Event>;
  Task<> wait_published(Stop stop);
  // The start is about to be published.
  void set_started();
  // Whether a Start is under way.
  bool is_starting() const { return state_ == State::created && !no_event_pending_.is_set(); }
  // Waits until `delay` has passed since the start, or until the process is dead; not at all before
  // a start. A program needs some milliseconds to set its signal handlers. A signal that comes
  // before kills it; for the first process of a pid namespace, the kernel drops the signal
  // (pid_namespaces(7)). With the stock shim the runtime's `kill`, which takes 25 ms, hides this.
  Task<> wait_for_handlers(Duration delay);
  // Records the exit, and wakes all that wait for it.
  void set_exited(const Exit& exit);
  // Wakes and answers them where there will be no exit.
  void release_waiters();
  // The exit, published or not; of a process that has not exited, though it was killed: SIGKILL,
  // now.
  Exit last_exit() const;
  // Whether the runtime has made the process.
  bool made() const { return child_.has_value(); }
  // Whether it has exited, published or not.
  bool dead() const { return child_ && child_->exited(); }
  // Sends a signal to this one process. Throws Error, not_found where it is dead.
  void signal(int number) const;
  // Kills this one process, if it has not exited. Never fails (process/reaper.h).
  void kill_at_once() const noexcept;

  // As JSON, for the report on SIGUSR1.
  std::string describe() const;

  // Verbs on one process run one after the other: each holds the lock. Once `stop` is set, or by
  // cancel_verb(), the runtime that runs for the verb is killed.
  class VerbLock {
   public:
    VerbLock(VerbLock&& other) noexcept
        : process_(std::exchange(other.process_, nullptr)), guard_(std::move(other.guard_)) {}
    ~VerbLock() {
      if (!process_) return;
      process_->stop_.reset();
      process_->unlocked_.set();
      process_->deleting_ = false;
    }
    // Exempts the verb from cancel_verbs_soon(): a deletion has a limit of its own, and later ones
    // join it.
    void set_deletion() { process_->deleting_ = true; }

   private:
    friend class Process;
    VerbLock(Process& process, Mutex::Guard guard) : process_(&process), guard_(std::move(guard)) {}
    Process* process_;
    Mutex::Guard guard_;
  };
  // Throws Error deadline_exceeded where `stop` is set first.
  Task<VerbLock> lock(Stop stop) { return lock(std::move(stop), nullptr); }
  // For a verb that needs a living process: throws Error not_found "process already finished" where
  // the process is dead, or exits first.
  Task<VerbLock> lock_alive(Stop stop);
  // For a SIGKILL or a deletion that must not wait: cancels the verb under way after 10 s, and so
  // each verb that waits behind it.
  void cancel_verbs_soon();
  // The same once the process is dead. For a TaskSet that ends before.
  Task<> cancel_verbs_when_dead();
  void cancel_verb() {
    if (stop_) stop_->set();
  }

 protected:
  // Opens the streams that the client named, and starts the loggers; before make(). Throws Error
  // with the stock shim's words.
  Task<> open_io(ProcessIo::Settings settings);
  // Has the runtime make the process, by `maker`, and attaches to it: streams, pid, child. Where it
  // throws there is no process: one that was made before the runtime failed was killed.
  using Maker = std::function<Task<>(Runtime::Start)>;
  Task<> make(Runtime::PidFile pid_file, Maker maker);
  // Width and height, where a client has set them.
  const std::optional<std::pair<unsigned, unsigned>>& terminal_size() const { return size_; }
  // Of the verb that holds the lock; nullptr outside of one.
  Event* stop() const { return stop_.get(); }
  // Ends the streams: waits for output that has not been written yet, until `drain_timeout` after
  // the exit.
  Task<> finish_io();
  // Throws refusal() where the state does not allow the verb.
  template <std::size_t N>
  void require(const Rule (&rules)[N], Verb verb) const {
    if (!next(rules, state(), verb)) throw refusal(state(), verb);
  }

  Reaper& reaper_;
  State state_ = State::created;  // the published one

 private:
  Task<> cancel_late_verbs();
  void answer_wait(const Reply& reply) const;
  Task<VerbLock> lock(Stop stop, Event* cancelled);
  Task<> set_when_dead(Event& event);
  Task<> acquire(std::optional<Mutex::Guard>& guard, Event& over);

  std::string id_;
  Streams streams_;
  pid_t pid_ = 0;
  std::optional<Exit> exit_;
  Duration drain_timeout_{};
  // Milliseconds of the loop's clock.
  std::uint64_t died_ = 0;
  std::uint64_t exit_published_ = 0;
  std::optional<std::uint64_t> started_;
  std::optional<Child> child_;
  std::unique_ptr<ProcessIo> io_;
  bool stdin_closed_ = false;
  std::optional<std::pair<unsigned, unsigned>> size_;  // of the terminal, if it was ever set
  Event ended_;
  std::vector<Reply> waits_;  // also of clients that have disconnected, until it is full
  Event skip_wait_read_;
  Event no_event_pending_;
  Mutex verbs_;
  Stop stop_;  // of the verb under way
  Event unlocked_;
  bool deleting_ = false;
  TaskSet cancelling_;
};

// The time of an exit; without one, Go's zero time (year 1), as the stock shim writes it.
void set_timestamp(wire::Timestamp* timestamp, const std::optional<Exit>& exit);

}  // namespace thinshim
