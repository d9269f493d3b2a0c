// SPDX-License-Identifier: Apache-2.0
// What a container's init and its execs have in common: an id, streams, a state, and an exit that
// any number may wait for.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "async/sync.h"
#include "oci/runtime.h"
#include "process/reaper.h"
#include "stdio/process_io.h"
#include "task/state.h"

namespace thinshim {

class Process {
 public:
  Process(Reaper& reaper, std::string id, Streams streams);
  virtual ~Process() = default;

  const std::string& id() const { return id_; }
  const Streams& streams() const { return streams_; }
  State state() const {
    const bool unpublished = dead() && !exit_ && state_ != State::deleted;
    return unpublished ? State::exited : state_;
  }
  // What clients are told: an exit that has not been published changes nothing.
  State published_state() const { return state_; }
  // 0 until it is known; kept after the exit.
  pid_t pid() const { return pid_; }
  // Nothing before the exit.
  const std::optional<Exit>& exit() const { return exit_; }
  // Set at the exit, and where the process could not be started or was deleted before: nothing more
  // will come then.
  Event& ended() { return ended_; }

  void close_stdin();
  // Throws Error.
  virtual void resize(unsigned width, unsigned height);

  // A verb that has an event of its own is under way as long as its Announcement is there: the exit
  // is published behind that event. A verb that takes too long for that (wait_announced()) finds
  // the exit published and has no event.
  class Announcement {
   public:
    explicit Announcement(Process& process) : process_(process) { process_.announced_.clear(); }
    ~Announcement() { process_.announced_.set(); }
    Announcement(const Announcement&) = delete;
    Announcement& operator=(const Announcement&) = delete;

   private:
    Process& process_;
  };

  // Waits for the process to die. Only for a process that was made.
  Task<Exit> wait_dead();
  // Waits for the event of a verb: for five seconds, or until five seconds after the death.
  Task<> wait_announced();
  // Waits a little for clients that are reading what the dead process has said: many of them, told
  // of its exit, close the fifos and read no more (containerd's client, task.Delete).
  Task<> wait_read();
  // Waits until the exit of a process that is dead has been published. Throws Error
  // deadline_exceeded where `stop` is set before.
  using Stop = std::shared_ptr<Event>;
  Task<> wait_published(Stop stop);
  // Somebody would rather know of its exit.
  void read_enough() { read_enough_.set(); }
  // Clients are told that it runs.
  void set_started();
  // While a Start is under way.
  bool is_starting() const { return state_ == State::created && !announced_.is_set(); }
  // A program needs some milliseconds after its start to set its signal handlers. A signal that
  // comes before kills it; where it is the first process of its pid namespace, the kernel drops the
  // signal (pid_namespaces(7)), and whoever sent it waits in vain. Clients never saw that: the
  // stock shim runs the runtime's `kill`, which takes 25 ms. So this waits until `delay` has passed
  // since the start, or until the process is dead; not at all before a start.
  Task<> wait_for_handlers(Duration delay);
  // Records the exit and lets go everyone who waits for it.
  void set_exited(const Exit& exit);
  // Lets them go where there will be no exit.
  void let_go() { ended_.set(); }
  // How it has ended, though perhaps nobody was told yet; of a process that the kernel does not let
  // go, though it was killed: that, now.
  Exit last_exit() const;
  // Whether the runtime has made it.
  bool made() const { return child_.has_value(); }
  // Whether it is dead, though perhaps nobody was told yet.
  bool dead() const { return child_ && child_->exited(); }
  // Sends a signal to this one process. Throws Error, not_found where it is dead.
  void signal(int number) const;
  // Kills this one process, if it lives. Never fails (process/reaper.h).
  void kill_at_once() const noexcept;

  // What is known of it, as JSON; for people who look for a fault.
  std::string describe() const;

  // Verbs on one process happen one after the other, each as long as it has its Turn. Once `stop`
  // is set, or by give_up(), the runtime that works for it is killed.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : process_(std::exchange(other.process_, nullptr)), guard_(std::move(other.guard_)) {}
    ~Turn() {
      if (!process_) return;
      process_->stop_.reset();
      process_->turn_over_.set();
      process_->deleting_ = false;
    }
    // hurry() leaves it alone: a deletion has a limit of its own, and others join it.
    void is_deletion() { process_->deleting_ = true; }

   private:
    friend class Process;
    Turn(Process& process, Mutex::Guard guard) : process_(&process), guard_(std::move(guard)) {}
    Process* process_;
    Mutex::Guard guard_;
  };
  // Throws Error deadline_exceeded where `stop` is set before the turn has come.
  Task<Turn> take_turn(Stop stop) { return take_turn(std::move(stop), nullptr); }
  // The same for what only concerns a process that lives: throws Error not_found "process already
  // finished" where it is dead, or dies before the turn has come.
  Task<Turn> take_turn_alive(Stop stop);
  // Something waits for the end of this process: the verb that is under way now, if any, has 10 s
  // more, then it is given up, and so has each that waits behind it.
  void hurry();
  // The same once the process is dead. For a TaskSet that ends before.
  Task<> hurry_when_dead();
  void give_up() {
    if (stop_) stop_->set();
  }

 protected:
  // Opens what the client named, and starts the loggers; before make(). Throws Error.
  Task<> open_io(ProcessIo::Settings settings);
  // Has the runtime make the process, by `maker`, and takes charge of it: streams, pid, child.
  // Where it throws, there is no process: one that was made before the runtime failed was killed.
  using Maker = std::function<Task<>(Runtime::Start)>;
  Task<> make(std::string pid_file, Maker maker);
  // Width and height, where a client has set them.
  const std::optional<std::pair<unsigned, unsigned>>& terminal_size() const { return size_; }
  // Of the verb whose turn it is; nullptr outside of one.
  Event* stop() const { return stop_.get(); }
  // Ends the streams: waits a little for output that is still held up, measured from the exit.
  Task<> finish_io();
  // Throws the refusal where the state does not allow the verb.
  template <std::size_t N>
  void require(const Rule (&rules)[N], Verb verb) const {
    if (!next(rules, state(), verb)) throw refusal(state(), verb);
  }

  Reaper& reaper_;
  State state_ = State::created;  // of which clients were told

 private:
  Task<> hurry_verbs();
  Task<Turn> take_turn(Stop stop, Event* enough);
  Task<> set_when_dead(Event& event);
  Task<> lock_turn(std::optional<Mutex::Guard>& guard, Event& over);

  std::string id_;
  Streams streams_;
  pid_t pid_ = 0;
  std::optional<Exit> exit_;
  Duration drain_timeout_{};
  std::uint64_t died_ = 0;                // by the loop's clock
  std::uint64_t exit_recorded_ = 0;       // likewise
  std::optional<std::uint64_t> started_;  // likewise
  std::optional<Child> child_;
  std::unique_ptr<ProcessIo> io_;
  bool stdin_closed_ = false;
  std::optional<std::pair<unsigned, unsigned>> size_;  // of the terminal, if it was ever set
  Event ended_;
  Event read_enough_;
  Event announced_;
  Mutex turns_;
  Stop stop_;  // of the verb that is under way
  Event turn_over_;
  bool deleting_ = false;
  TaskSet hurrying_;
};

}  // namespace thinshim
