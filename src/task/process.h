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
  State state() const { return state_; }
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

  // A start is under way as long as one of these is there; wait_dead() holds exits back until then.
  class Starting {
   public:
    explicit Starting(Process& process) : process_(process) { process_.start_settled_.clear(); }
    ~Starting() { process_.start_settled_.set(); }
    Starting(const Starting&) = delete;
    Starting& operator=(const Starting&) = delete;

   private:
    Process& process_;
  };

  // Waits for the process to die, and for a start that is under way to be over, since nobody may
  // hear of an exit before the start. Only for a process that was made.
  Task<Exit> wait_dead();
  // Waits a little for clients that are reading what the dead process has said: many of them, told
  // of its exit, close the fifos and read no more (containerd's client, task.Delete).
  Task<> wait_read();
  // Somebody would rather know of its exit.
  void read_enough() { read_enough_.set(); }
  // Records the exit and lets go everyone who waits for it.
  void set_exited(const Exit& exit);
  // Lets them go where there will be no exit.
  void let_go() { ended_.set(); }
  // Whether the runtime has made it.
  bool made() const { return child_.has_value(); }
  // Whether it is dead, though perhaps nobody was told yet.
  bool dead() const { return child_ && child_->exited(); }
  // Sends a signal to this one process. Throws Error, not_found where it is dead.
  void signal(int number) const;

  // What is known of it, as JSON; for people who look for a fault.
  std::string describe() const;

  // Verbs on one process happen one after the other, each as long as it has its Turn. The runtime
  // that works for it is killed once `stop` is set, or by give_up().
  using Stop = std::shared_ptr<Event>;
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : process_(std::exchange(other.process_, nullptr)), guard_(std::move(other.guard_)) {}
    ~Turn() {
      if (process_) process_->stop_.reset();
    }

   private:
    friend class Process;
    Turn(Process& process, Mutex::Guard guard) : process_(&process), guard_(std::move(guard)) {}
    Process* process_;
    Mutex::Guard guard_;
  };
  // One that is `urgent` waits for 10 s, then the verb before it is given up.
  Task<Turn> take_turn(Stop stop, bool urgent = false);
  void give_up() {
    if (stop_) stop_->set();
  }

 protected:
  // Opens what the client named, and starts the loggers; before make(). Throws Error.
  Task<> open_io(ProcessIo::Settings settings);
  bool has_io() const { return io_ != nullptr; }
  // Has the runtime make the process, by `maker`, and takes charge of it: streams, pid, child.
  // Where it throws, there is no process, or it is being killed: also one that was made before the
  // runtime failed.
  using Maker = std::function<Task<>(Runtime::Start)>;
  Task<> make(std::string pid_file, Maker maker);
  // Of the verb whose turn it is; nullptr outside of one.
  Event* stop() const { return stop_.get(); }
  // Ends the streams: waits a little for output that is still held up, measured from the exit.
  Task<> finish_io();
  // Throws the refusal where the state does not allow the action.
  template <std::size_t N>
  void require(const Rule (&rules)[N], Verb verb) const {
    if (!next(rules, state_, verb)) throw refusal(state_, verb);
  }

  Reaper& reaper_;
  State state_ = State::created;

 private:
  Task<> give_up_later();

  std::string id_;
  Streams streams_;
  pid_t pid_ = 0;
  std::optional<Exit> exit_;
  Duration drain_timeout_{};
  std::uint64_t exit_recorded_ = 0;  // the loop's clock
  std::optional<Child> child_;
  std::unique_ptr<ProcessIo> io_;
  bool stdin_closed_ = false;
  std::optional<std::pair<unsigned, unsigned>> size_;  // of the terminal, if it was ever set
  Event ended_;
  Event read_enough_;
  Event start_settled_;
  Mutex turns_;
  Stop stop_;
};

}  // namespace thinshim
