// SPDX-License-Identifier: Apache-2.0
#include "task/process.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// How long a verb goes on that something waits for which must not wait (SIGKILL).
constexpr Duration kHurriedLimit = 10s;

// The process that the runtime has made, as it says.
Child adopt_from(Reaper& reaper, const std::string& pid_file) {
  try {
    std::optional<int> pid = read_pid_file(pid_file);
    if (!pid) throw Error::unknown("the runtime wrote no " + pid_file);
    return reaper.adopt(*pid);
  } catch (const Error& error) {
    // Whatever its class: the client is not to blame.
    throw Error::unknown(std::string("failed to retrieve OCI runtime container pid: ") +
                         error.what());
  }
}

// What the runtime had made before it failed.
std::optional<Child> adopt_leftover(Reaper& reaper, const std::string& pid_file) {
  try {
    return adopt_from(reaper, pid_file);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// What a process that was killed is given to end.
constexpr Duration kDying = 2s;
// How long an exit waits for the event of a verb that is under way: of a runtime that hangs.
constexpr Duration kAnnouncementLimit = 5s;
// How long an exit is not told while clients read: as long as they go on, and in all.
constexpr Duration kReadPause = 200ms;
constexpr Duration kReadLimit = 2s;

}  // namespace

Process::Process(Reaper& reaper, std::string id, Streams streams)
    : reaper_(reaper), id_(std::move(id)), streams_(std::move(streams)) {
  announced_.set();
}

Task<> Process::open_io(ProcessIo::Settings settings) {
  settings.id = id_;
  drain_timeout_ = settings.options.drain_timeout;
  auto io = std::make_unique<ProcessIo>(reaper_.loop(), streams_, settings);
  Task<> starting = io->start_loggers(stop());
  co_await std::move(starting);
  io_ = std::move(io);
  if (stdin_closed_) io_->close_stdin();
}

Task<> Process::make(std::string pid_file, Maker maker) {
  ended_.clear();  // an earlier attempt may have failed
  // A pid from an earlier attempt must not be taken for this one's.
  if (::unlink(pid_file.c_str()) < 0 && errno != ENOENT) throw_errno("remove " + pid_file);
  Reaper::Hold hold = reaper_.hold();
  std::optional<Child> child;
  std::exception_ptr failure;
  try {
    Task<> making =
        maker(Runtime::Start{io_->runtime_fds(), io_->console_socket(), pid_file, stop()});
    co_await std::move(making);
    child = adopt_from(reaper_, pid_file);
    Task<> attaching = io_->attach();
    co_await std::move(attaching);
    if (size_) io_->resize(size_->first, size_->second);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    if (!child) child = adopt_leftover(reaper_, pid_file);
    if (child) {
      child->kill();
      co_await child->wait(kDying);
    }
    io_.reset();
    std::rethrow_exception(failure);
  }
  pid_ = child->pid();
  child_ = std::move(child);
}

// Nor does it wait once `enough`, where there is one, is set.
Task<Process::Turn> Process::take_turn(Stop stop, Event* enough) {
  std::optional<Mutex::Guard> guard;
  Event over;
  TaskSet waiting;
  waiting.spawn(lock_turn(guard, over), "wait for a turn");
  if (!guard) waiting.spawn(propagate(*stop, over), "stop waiting for a turn");
  if (!guard && enough) waiting.spawn(propagate(*enough, over), "stop waiting for a turn");
  co_await over.wait();
  waiting.cancel();
  if (!guard && enough && dead()) throw already_finished();
  if (!guard)
    throw Error(Code::deadline_exceeded, "another operation on " + id_ + " did not end in time");
  stop_ = std::move(stop);
  co_return Turn(*this, std::move(*guard));
}

Task<Process::Turn> Process::take_turn_alive(Stop stop) {
  const auto is_finished = [this] { return dead() && state_ != State::deleted; };
  if (is_finished()) throw already_finished();
  Event died;
  TaskSet deaths;
  deaths.spawn(set_when_dead(died), "stop waiting for a turn");
  Turn turn = co_await take_turn(std::move(stop), &died);
  if (is_finished()) throw already_finished();
  co_return turn;
}

Task<> Process::set_when_dead(Event& event) {
  if (!child_) co_return;
  co_await child_->wait();
  event.set();
}

Task<> Process::lock_turn(std::optional<Mutex::Guard>& guard, Event& over) {
  Mutex::Guard mine = co_await turns_.lock();
  guard.emplace(std::move(mine));
  over.set();
}

void Process::hurry() {
  if (hurrying_.empty()) hurrying_.spawn(hurry_verbs(), "hurry");
}

// The next verb has its turn before this goes on.
Task<> Process::hurry_verbs() {
  while (stop_) {
    turn_over_.clear();
    const bool over = co_await TimedWait(reaper_.loop(), turn_over_, kHurriedLimit);
    if (!over && !deleting_) give_up();
    co_await yield(reaper_.loop());
  }
}

Task<> Process::hurry_when_dead() {
  if (!child_) co_return;
  co_await child_->wait();
  hurry();
}

void Process::close_stdin() {
  stdin_closed_ = true;
  if (io_) io_->close_stdin();
}

void Process::resize(unsigned width, unsigned height) {
  size_ = {width, height};  // for a terminal that is still to come
  if (io_) io_->resize(width, height);
}

Task<Exit> Process::wait_dead() {
  co_await child_->wait();
  died_ = reaper_.loop().now();
  co_return child_->exit();
}

Task<> Process::wait_announced() {
  const Duration passed(died_ == 0 ? 0 : reaper_.loop().now() - died_);
  co_await TimedWait(reaper_.loop(), announced_,
                     std::max(Duration(0), kAnnouncementLimit - passed));
}

Task<> Process::wait_published(Stop stop) {
  if (state() != State::exited) co_return;
  Event over;
  TaskSet waiting;
  waiting.spawn(propagate(ended_, over), "wait for an exit");
  waiting.spawn(propagate(*stop, over), "stop waiting for an exit");
  co_await over.wait();
  if (state() == State::exited)
    throw Error(Code::deadline_exceeded, "the exit of " + id_ + " was not published in time");
}

Task<> Process::wait_read() {
  io_->process_exited();
  Task<> reading = io_->wait_until_read(kReadPause, kReadLimit, read_enough_);
  co_await std::move(reading);
}

void Process::set_started() {
  state_ = State::running;
  started_ = reaper_.loop().now();
}

Task<> Process::wait_for_handlers(Duration delay) {
  if (!started_ || dead()) co_return;
  const Duration left = delay - Duration(reaper_.loop().now() - *started_);
  if (left <= Duration(0)) co_return;
  co_await child_->wait(left);
}

void Process::set_exited(const Exit& exit) {
  exit_ = exit;
  exit_recorded_ = reaper_.loop().now();
  if (state_ != State::deleted) state_ = State::stopped;
  ended_.set();
}

void Process::signal(int number) const {
  if (!child_) throw Error::failed_precondition("process not created");
  child_->signal(number);
}

Exit Process::last_exit() const {
  if (dead()) return child_->exit();
  Exit exit{pid_, 128 + SIGKILL, {}};
  clock_gettime(CLOCK_REALTIME, &exit.at);
  return exit;
}

void Process::kill_at_once() const noexcept {
  if (child_) child_->kill();
}

std::string Process::describe() const {
  std::string json = R"({"id":")" + id_ + R"(","state":")" + name_of(state()) + R"(","pid":)" +
                     std::to_string(pid_);
  if (exit_) json += R"(,"exit_status":)" + std::to_string(exit_->status);
  if (turns_.locked()) json += R"(,"busy":true)";
  return json + "}";
}

Task<> Process::finish_io() {
  if (!io_) co_return;
  std::uint64_t gone_by = exit_ ? reaper_.loop().now() - exit_recorded_ : 0;
  Duration left = std::max(Duration(0), drain_timeout_ - Duration(gone_by));
  Task<> finishing = io_->finish(left, drain_timeout_);
  co_await std::move(finishing);
}

}  // namespace thinshim
