// SPDX-License-Identifier: Apache-2.0
#include "process/reaper.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"

namespace thinshim {

Error already_finished() { return Error::not_found("process already finished"); }

struct Child::State {
  Reaper& reaper;
  pid_t pid;
  Event exited;
  Exit exit;
  std::optional<StartedProgram> program;

  State(Reaper& owner, pid_t number) : reaper(owner), pid(number) { reaper.known_[pid] = this; }
  ~State() {
    auto entry = reaper.known_.find(pid);
    // The number may be another child's by now.
    if (entry != reaper.known_.end() && entry->second == this) reaper.known_.erase(entry);
  }
};

Child::Child(std::unique_ptr<State> state) : state_(std::move(state)) {}
Child::Child(Child&&) noexcept = default;
Child& Child::operator=(Child&&) noexcept = default;
Child::~Child() = default;

pid_t Child::pid() const { return state_->pid; }
bool Child::exited() const { return state_->exited.is_set(); }
Event::Waiting Child::wait() { return state_->exited.wait(); }
TimedWait Child::wait(Duration limit) {
  return TimedWait(state_->reaper.loop(), state_->exited, limit);
}
const Exit& Child::exit() const { return state_->exit; }
void Child::check_started() const {
  if (state_->program) state_->program->check();
}

void Child::signal(int number) const {
  if (exited()) throw already_finished();
  if (::kill(pid(), number) < 0) throw_errno("kill process " + std::to_string(pid()));
}

void Child::kill() const noexcept {
  try {
    if (!exited()) signal(SIGKILL);
  } catch (const std::exception& error) {
    log::error("failed to kill a process", {{"error", error.what()}});
  }
}

namespace {

// Asks for one exit, without waiting for it. Nothing where there is none; ECHILD ("no such child")
// is told apart.
struct Answer {
  bool is_child = true;
  bool exited = false;
  Exit exit;
};
Answer ask(idtype_t type, pid_t pid, int options) {
  siginfo_t info{};
  int result;
  do result = ::waitid(type, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | __WALL | options);
  while (result < 0 && errno == EINTR);
  Answer answer;
  answer.is_child = result == 0;
  if (result < 0 || info.si_pid == 0) return answer;
  answer.exited = true;
  answer.exit.pid = info.si_pid;
  answer.exit.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  clock_gettime(CLOCK_REALTIME, &answer.exit.at);
  return answer;
}

std::uint64_t ticks_since_boot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * ticks +
         static_cast<std::uint64_t>(now.tv_nsec) * ticks / 1'000'000'000;
}

// In the same ticks. Throws Error.
bool has_started_before(std::uint64_t moment, pid_t pid) {
  constexpr int kStartTime = 22;  // proc_pid_stat(5)
  const std::string stat = read_proc_file(pid, "stat").value_or("");
  const std::optional<std::uint64_t> started = parse_number(stat_field(stat, kStartTime));
  return started && *started < moment;
}

}  // namespace

Reaper::Reaper(Loop& loop) : loop_(loop), signals_(loop, {SIGCHLD}) {
  // Whoever started us may have ignored it, and then the kernel keeps no exits (wait(2)).
  ::signal(SIGCHLD, SIG_DFL);
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become the subreaper of containers");
  tasks_.spawn(watch_signals(), "reaper");
}

Reaper::~Reaper() = default;

Child Reaper::start(const Command& command) {
  StartedProgram program = start_command(command);
  Child child = take(program.pid());
  child.state_->program.emplace(std::move(program));
  return child;
}

Child Reaper::start_in_turn(const Command& command, Mutex::Guard turn) {
  Child child = start(command);
  tasks_.spawn(pass_turn_on(std::move(turn)), "pass the turn on");
  return child;
}

Task<> Reaper::pass_turn_on([[maybe_unused]] Mutex::Guard turn) { co_await yield(loop_); }

Child Reaper::take(pid_t pid) {
  is_older_.erase(pid);
  return Child(std::make_unique<Child::State>(*this, pid));
}

Child Reaper::adopt(pid_t pid) {
  if (!ask(P_PID, pid, WNOWAIT).is_child || known_.count(pid) != 0)
    throw Error::unknown("process " + std::to_string(pid) + " is not a new child of the shim");
  Child child = take(pid);
  sweep();
  return child;
}

Reaper::Hold Reaper::hold() { return Hold(*this, holds_.insert(holds_.end(), ticks_since_boot())); }

void Reaper::release(std::list<std::uint64_t>::iterator hold) {
  const bool oldest = hold == holds_.begin();
  holds_.erase(hold);
  if (!oldest) return;
  is_older_ = {};  // with its memory
  sweep();
}

void Reaper::deliver(const Exit& exit) {
  auto entry = known_.find(exit.pid);
  if (entry == known_.end()) return;
  Child::State& child = *entry->second;
  known_.erase(entry);
  child.exit = exit;
  child.exited.set();
}

// A zombie that is left alone would hide the others from a wait for any child, so all are asked one
// by one.
void Reaper::sweep_under_hold() {
  std::vector<Exit> exits;
  for (const auto& [pid, state] : known_) {
    Answer answer = ask(P_PID, pid, 0);
    if (answer.exited) exits.push_back(answer.exit);
  }
  for (const Exit& exit : exits) deliver(exit);
  if (!ask(P_ALL, 0, WNOWAIT).exited) return;
  try {
    reap_older_orphans();
  } catch (const Error& error) {  // for want of memory, say: the next sweep is not far
    log::debug("zombies stay for now", {{"error", error.what()}});
  }
}

// Thousands may have to stay, and another one ends at any moment: only what is new is looked at.
void Reaper::reap_older_orphans() {
  for (pid_t pid : own_children()) {
    if (known_.count(pid) != 0) continue;
    auto [entry, is_new] = is_older_.try_emplace(pid, false);
    if (is_new) entry->second = has_started_before(holds_.front(), pid);
    if (entry->second && ask(P_PID, pid, 0).exited) is_older_.erase(entry);
  }
}

void Reaper::sweep() {
  finish_starts();  // where nobody asks what became of one
  if (!holds_.empty()) return sweep_under_hold();
  for (;;) {
    Answer answer = ask(P_ALL, 0, 0);
    if (!answer.exited) return;
    deliver(answer.exit);
  }
}

Task<> Reaper::watch_signals() {
  sweep();  // children from before this moment
  for (;;) {
    co_await signals_.next();
    sweep();
  }
}

}  // namespace thinshim
