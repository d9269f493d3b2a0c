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
    // The kernel may have reused the pid for another child.
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
    log::error("failed to send SIGKILL", {{"error", error.what()}});
  }
}

namespace {

// The exits, or start times of orphans, that one sweep reads. Then the loop goes on, and a later
// sweep reads the rest: a container in the host's pid namespace may leave thousands.
constexpr int kSweepLimit = 256;

// waitid(2) with WNOHANG: one exit.
struct WaitResult {
  bool is_child = true;  // false: ECHILD, there is no such child
  bool exited = false;
  Exit exit;
};
WaitResult wait_nohang(idtype_t type, pid_t pid, int options) {
  siginfo_t info{};
  int result;
  do result = ::waitid(type, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | __WALL | options);
  while (result < 0 && errno == EINTR);
  WaitResult waited;
  waited.is_child = result == 0;
  if (result < 0 || info.si_pid == 0) return waited;
  waited.exited = true;
  waited.exit.pid = info.si_pid;
  waited.exit.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  clock_gettime(CLOCK_REALTIME, &waited.exit.at);
  return waited;
}

std::uint64_t ticks_since_boot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<std::uint64_t>(now.tv_sec) * ticks +
         static_cast<std::uint64_t>(now.tv_nsec) * ticks / 1'000'000'000;
}

// Whether the process started before `moment`, in clock ticks since boot. Throws Error.
bool has_started_before(std::uint64_t moment, pid_t pid) {
  constexpr int kStartTime = 22;  // proc_pid_stat(5)
  const std::string stat = read_proc_file(pid, "stat").value_or("");
  const std::optional<std::uint64_t> started = parse_number(stat_field(stat, kStartTime));
  return started && *started < moment;
}

}  // namespace

Reaper::Reaper(Loop& loop) : loop_(loop), signals_(loop, {SIGCHLD}) {
  // It may be ignored by inheritance; the kernel would discard the exits then (wait(2)).
  ::signal(SIGCHLD, SIG_DFL);
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl PR_SET_CHILD_SUBREAPER");
  tasks_.spawn(watch_signals(), "reaper");
}

Reaper::~Reaper() = default;

Child Reaper::start(Command command) {
  StartedProgram program = start_command(std::move(command));
  Child child = take(program.pid());
  child.state_->program.emplace(std::move(program));
  return child;
}

Child Reaper::start_in_turn(Command command, Mutex::Guard turn) {
  Child child = start(std::move(command));
  tasks_.spawn(pass_turn_on(std::move(turn)), "pass the turn on");
  return child;
}

Task<> Reaper::pass_turn_on([[maybe_unused]] Mutex::Guard turn) { co_await yield(loop_); }

Child Reaper::take(pid_t pid) {
  is_older_.erase(pid);
  return Child(std::make_unique<Child::State>(*this, pid));
}

Child Reaper::adopt(pid_t pid) {
  if (!wait_nohang(P_PID, pid, WNOWAIT).is_child || known_.count(pid) != 0)
    throw Error::unknown("process " + std::to_string(pid) +
                         " is not a child of the shim, or is already known");
  Child child = take(pid);
  sweep();
  return child;
}

Reaper::Hold Reaper::hold() { return Hold(*this, holds_.insert(holds_.end(), ticks_since_boot())); }

void Reaper::release(std::list<std::uint64_t>::iterator hold) {
  const bool oldest = hold == holds_.begin();
  holds_.erase(hold);
  if (!oldest) return;
  // Those that are older than this hold are older than the next.
  if (holds_.empty())
    is_older_ = {};  // clear() would keep the buckets
  else
    std::erase_if(is_older_, [](const auto& entry) { return !entry.second; });
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

// waitid(P_ALL) may return an unknown zombie, which must stay, again and again; so known children
// are polled one by one.
bool Reaper::sweep_under_hold() {
  std::vector<Exit> exits;
  for (const auto& [pid, state] : known_) {
    WaitResult waited = wait_nohang(P_PID, pid, 0);
    if (waited.exited) exits.push_back(waited.exit);
  }
  for (const Exit& exit : exits) deliver(exit);
  if (!wait_nohang(P_ALL, 0, WNOWAIT).exited) return false;
  try {
    return reap_older_orphans();
  } catch (const Error& error) {  // out of memory, for example: the next sweep tries again
    log::debug("failed to reap older orphans", {{"error", error.what()}});
    return false;
  }
}

// There may be thousands that must stay, and each exit causes a sweep: a process's start time is
// read once only.
bool Reaper::reap_older_orphans() {
  int reads = 0;
  for (pid_t pid : own_children()) {
    if (known_.count(pid) != 0) continue;
    auto entry = is_older_.find(pid);
    if (entry == is_older_.end()) {
      if (++reads > kSweepLimit) return true;
      const bool is_older = has_started_before(holds_.front(), pid);
      entry = is_older_.emplace(pid, is_older).first;
    }
    if (entry->second && wait_nohang(P_PID, pid, 0).exited) is_older_.erase(entry);
  }
  return false;
}

bool Reaper::sweep_once() {
  free_finished_starts();
  if (!holds_.empty()) return sweep_under_hold();
  for (int reaped = 0; reaped < kSweepLimit; ++reaped) {
    WaitResult waited = wait_nohang(P_ALL, 0, 0);
    if (!waited.exited) return false;
    deliver(waited.exit);
  }
  return true;
}

void Reaper::sweep() {
  if (sweep_once() && sweeping_.empty()) sweeping_.spawn(sweep_later(), "sweep");
}

Task<> Reaper::sweep_later() {
  do co_await yield(loop_);
  while (sweep_once());
}

Task<> Reaper::watch_signals() {
  sweep();  // children that exited before SIGCHLD was blocked
  for (;;) {
    co_await signals_.next();
    sweep();
  }
}

}  // namespace thinshim
