// SPDX-License-Identifier: Apache-2.0
// Where the runtime and the container's processes play: every call of the runtime is a process that
// stands still until it is told how to end, and every process of the container lives until it is
// told to die. What the runtime would do meanwhile is done here, in its place, so that it is known
// at any moment whether something is under way.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"
#include "orders/kernel.h"
#include "orders/trace.h"

namespace thinshim::orders {

inline constexpr const char* kContainer = "c";
// "e1" and "e2"; empty for init.
std::string exec_id_of(Who who);
// With which a process ends that is not killed.
int own_status_of(Who who);

class Stage final : public Judge {
 public:
  struct Setting {
    std::string socket;  // of $ORDERS_STAGE
    std::string state;   // the runtime's directory of the container
    bool own_pid_namespace = true;
    Signals signals = Signals::arrive;
  };
  // What happens is written to `write`, as it happens.
  using Write = std::function<void(Entry)>;
  Stage(Loop& loop, Setting setting, Write write);
  ~Stage() override;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // A call of the runtime that stands still.
  struct Call {
    int number = 0;
    pid_t pid = 0;
    std::string verb;
    Who who = Who::init;
    bool all = false;
    bool force = false;
    std::string pid_file;
    std::string bundle;
    Fd socket;
    std::optional<Watch> watch;
    bool stands = false;    // it waits to be told
    bool has_made = false;  // its process
    bool returns = false;   // once it has made it
    bool is_over = false;
  };
  // Those that stand still, in the order in which they came.
  std::vector<Call*> calls() const;

  // Makes its process, before it ends in whatever way, where it can.
  bool can_make(const Call& call) const;
  void make(Call& call);
  // Ends with success, where what it was called for can be done.
  void let_return(Call& call);
  void let_fail(Call& call, const std::string& reason);
  void kill_call(Call& call);
  // From now on calls return as soon as they come, and signals arrive.
  void free_all();

  struct Actor {
    Who who = Who::init;
    pid_t pid = 0;
    bool dead = false;       // or about to
    bool is_doomed = false;  // SIGKILL is pending
  };
  // The last one that was made; nothing before.
  const std::optional<Actor>& actor(Who who) const {
    return actors_[static_cast<std::size_t>(who)];
  }
  bool lives(Who who) const { return actor(who) && !actor(who)->dead; }
  // It ends by itself.
  void let_die(Who who);
  // Who still lives is killed, whatever the service thinks of it.
  void sweep();

  // Waits until nothing is under way, and everybody waits.
  Task<> still();

  bool is_busy() override;
  bool is_still() override;
  int kill(pid_t pid, int signal) override;
  void give_up() override;

 private:
  Task<> accept();
  Task<> hear(std::shared_ptr<Call> call);
  void read_arguments(Call& call, const std::string& arguments);
  void take_made(Call& call, pid_t pid);
  void tell(Call& call, const std::string& words);
  void note_end(Call& call, const std::string& how);
  bool knows_container() const;
  // Why the call cannot be done; empty where it was.
  std::string perform(Call& call);
  std::string perform_delete(const Call& call);
  // What the runtime prints of the container; only where it knows it.
  std::string state_text() const;
  void end(Actor& actor, int signal, int status);
  void end_all();
  bool stands(pid_t pid) const;

  Loop& loop_;
  Setting setting_;
  Write write_;
  Fd listener_;
  Watch watch_;
  Fd still_event_;
  Watch still_watch_;
  bool awaits_stillness_ = false;
  bool free_ = false;
  bool started_ = false;
  int last_call_ = 0;
  std::string bundle_;  // of the container that the runtime knows
  std::list<std::shared_ptr<Call>> calls_;
  std::array<std::optional<Actor>, 3> actors_;
  std::set<pid_t> doomed_;  // whom the service has killed
  TaskSet hearing_;
};

}  // namespace thinshim::orders
