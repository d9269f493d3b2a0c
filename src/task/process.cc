// SPDX-License-Identifier: Apache-2.0
#include "task/process.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "process/lookup.h"
#include "task.pb.h"

namespace thinshim {
namespace {

using namespace std::chrono_literals;

// 0001-01-01 in seconds since 1970.
constexpr std::int64_t kGoZeroTime = -62135596800;
// How long a verb may go on that is in the way of a SIGKILL or a deletion.
constexpr Duration kCancelDelay = 10s;

// The process that the runtime has made, by its pid file.
Child adopt_from(Reaper& reaper, const Runtime::PidFile& pid_file) {
  try {
    std::optional<int> pid = read_pid_file(pid_file.path);
    if (!pid) throw Error::unknown("the runtime did not write " + pid_file.path);
    return reaper.adopt(*pid);
  } catch (const Error& error) {
    // Without the error's class: the request was correct.
    throw pid_file.error(error.what());
  }
}

// The process that the runtime had made before it failed.
std::optional<Child> adopt_leftover(Reaper& reaper, const Runtime::PidFile& pid_file) {
  try {
    return adopt_from(reaper, pid_file);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// With the stock shim's words in front (process/init.go and exec.go, Create and Start). It opens
// fifos only once the runtime has returned.
Error with_context(const Error& error, bool terminal) {
  const std::string_view text = error.what();
  if (text.starts_with("failed to create OCI runtime console socket")) return error;
  if (terminal) return error.in("failed to start console copy");
  if (text.starts_with("containerd-shim: "))
    return error.in("failed to start io pipe copy: unable to copy pipes");
  return error.in("failed to create init process I/O");
}

// How long a killed process may take to exit.
constexpr Duration kKilledLimit = 2s;
// How long an exit waits for the event of a verb whose runtime hangs.
constexpr Duration kPendingEventLimit = 5s;
// How long an exit waits for clients that read: between two of their reads, and in all.
constexpr Duration kReadPause = 200ms;
constexpr Duration kReadLimit = 2s;

}  // namespace

void set_timestamp(wire::Timestamp* timestamp, const std::optional<Exit>& exit) {
  timestamp->set_seconds(exit ? exit->at.tv_sec : kGoZeroTime);
  timestamp->set_nanos(exit ? static_cast<std::int32_t>(exit->at.tv_nsec) : 0);
}

Process::Process(Reaper& reaper, std::string id, Streams streams)
    : reaper_(reaper), id_(std::move(id)), streams_(std::move(streams)) {
  no_event_pending_.set();
}

Process::~Process() {
  for (const Reply& reply : waits_) answer_wait(reply);
}

Task<> Process::open_io(ProcessIo::Settings settings) {
  settings.id = id_;
  drain_timeout_ = settings.options.drain_timeout;
  std::optional<Error> failure;
  std::unique_ptr<ProcessIo> io;
  try {
    for (const std::string& path : paths_of(streams_)) co_await look_up(reaper_, path, stop());
    io = std::make_unique<ProcessIo>(reaper_.loop(), streams_, settings);
    co_await io->start_loggers(stop());
  } catch (const Error& error) {
    failure = with_context(error, streams_.terminal);
  }
  if (failure) throw *failure;
  io_ = std::move(io);
  if (stdin_closed_) io_->close_stdin();
}

Task<> Process::make(Runtime::PidFile pid_file, Maker maker) {
  ended_.clear();  // an earlier attempt may have failed
  // The pid of an earlier attempt must not be taken for this one's.
  if (::unlink(pid_file.path.c_str()) < 0 && errno != ENOENT)
    throw_errno("remove " + pid_file.path);
  Reaper::Hold hold = reaper_.hold();
  std::optional<Child> child;
  std::exception_ptr failure;
  try {
    Task<> making =
        maker(Runtime::Start{io_->runtime_fds(), io_->console_socket(), pid_file, stop()});
    co_await std::move(making);
    child = adopt_from(reaper_, pid_file);
    co_await io_->attach();
    if (size_) io_->resize(size_->first, size_->second);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    if (!child) child = adopt_leftover(reaper_, pid_file);
    if (child) {
      child->kill();
      co_await child->wait(kKilledLimit);
    }
    io_.reset();
    std::rethrow_exception(failure);
  }
  pid_ = child->pid();
  child_ = std::move(child);
}

// `cancelled`, where given, ends the wait too.
Task<Process::VerbLock> Process::lock(Stop stop, Event* cancelled) {
  std::optional<Mutex::Guard> guard;
  Event over;
  TaskSet waiting;
  waiting.spawn(acquire(guard, over), "wait for the lock");
  if (!guard) waiting.spawn(propagate(*stop, over), "stop waiting for the lock");
  if (!guard && cancelled) waiting.spawn(propagate(*cancelled, over), "stop waiting for the lock");
  co_await over.wait();
  waiting.cancel();
  if (!guard && cancelled && dead()) throw already_finished();
  if (!guard)
    throw Error(Code::deadline_exceeded, "timed out waiting for another operation on " + id_);
  stop_ = std::move(stop);
  co_return VerbLock(*this, std::move(*guard));
}

Task<Process::VerbLock> Process::lock_alive(Stop stop) {
  const auto is_finished = [this] { return dead() && state_ != State::deleted; };
  if (is_finished()) throw already_finished();
  Event died;
  TaskSet deaths;
  deaths.spawn(set_when_dead(died), "stop waiting for the lock");
  VerbLock mine = co_await lock(std::move(stop), &died);
  if (is_finished()) throw already_finished();
  co_return mine;
}

Task<> Process::set_when_dead(Event& event) {
  if (!child_) co_return;
  co_await child_->wait();
  event.set();
}

Task<> Process::acquire(std::optional<Mutex::Guard>& guard, Event& over) {
  Mutex::Guard mine = co_await verbs_.lock();
  guard.emplace(std::move(mine));
  over.set();
}

void Process::cancel_verbs_soon() {
  if (cancelling_.empty()) cancelling_.spawn(cancel_late_verbs(), "cancel verbs");
}

// After the yield the next verb has the lock.
Task<> Process::cancel_late_verbs() {
  while (stop_) {
    unlocked_.clear();
    const bool over = co_await TimedWait(reaper_.loop(), unlocked_, kCancelDelay);
    if (!over && !deleting_) cancel_verb();
    co_await yield(reaper_.loop());
  }
}

Task<> Process::cancel_verbs_when_dead() {
  if (!child_) co_return;
  co_await child_->wait();
  cancel_verbs_soon();
}

void Process::close_stdin() {
  stdin_closed_ = true;
  if (io_) io_->close_stdin();
}

void Process::resize(unsigned width, unsigned height) {
  size_ = {width, height};  // for a terminal that attach() receives later
  if (io_) io_->resize(width, height);
}

Task<Exit> Process::wait_dead() {
  co_await child_->wait();
  died_ = reaper_.loop().now();
  co_return child_->exit();
}

Task<> Process::wait_pending_event() {
  const Duration passed(died_ == 0 ? 0 : reaper_.loop().now() - died_);
  co_await TimedWait(reaper_.loop(), no_event_pending_,
                     std::max(Duration(0), kPendingEventLimit - passed));
}

Task<> Process::wait_published(Stop stop) {
  if (state() != State::exited) co_return;
  Event over;
  TaskSet waiting;
  waiting.spawn(propagate(ended_, over), "wait for an exit");
  waiting.spawn(propagate(*stop, over), "stop waiting for an exit");
  co_await over.wait();
  if (state() == State::exited)
    throw Error(Code::deadline_exceeded, "timed out waiting for the exit of " + id_);
}

Task<> Process::wait_read() {
  io_->process_exited();
  co_await io_->wait_until_read(kReadPause, kReadLimit, skip_wait_read_);
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
  exit_published_ = reaper_.loop().now();
  if (state_ != State::deleted) state_ = State::stopped;
  release_waiters();
}

void Process::release_waiters() {
  ended_.set();
  for (const Reply& reply : std::exchange(waits_, {})) answer_wait(reply);
}

void Process::answer_when_ended(Reply reply) {
  if (ended_.is_set()) return answer_wait(reply);
  if (waits_.size() == waits_.capacity())
    std::erase_if(waits_, [](const Reply& wait) { return !wait.is_awaited(); });
  waits_.push_back(std::move(reply));
}

void Process::answer_wait(const Reply& reply) const {
  try {
    containerd::task::v3::WaitResponse response;
    response.set_exit_status(static_cast<std::uint32_t>(exit_ ? exit_->status : 0));
    set_timestamp(response.mutable_exited_at(), exit_);
    reply.send(response);
  } catch (const std::exception& error) {  // out of memory
    log::error("failed to answer Wait", {{"id", id_}, {"error", error.what()}});
  }
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
  if (verbs_.locked()) json += R"(,"busy":true)";
  return json + "}";
}

Task<> Process::finish_io() {
  if (!io_) co_return;
  std::uint64_t passed = exit_ ? reaper_.loop().now() - exit_published_ : 0;
  Duration left = std::max(Duration(0), drain_timeout_ - Duration(passed));
  co_await io_->finish(left, drain_timeout_);
}

}  // namespace thinshim
