// SPDX-License-Identifier: Apache-2.0
#include "process/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace thinshim {
namespace {

constexpr std::size_t kMaxOutput = 64 << 10;  // bytes
constexpr Duration kKillTimeout = std::chrono::seconds(2);

// Reads all available bytes, and keeps the first kMaxOutput. False at end of file.
bool collect(int fd, std::string& text) {
  char chunk[4096];
  for (;;) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n == 0) return false;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    text.append(chunk, std::min(static_cast<std::size_t>(n),
                                kMaxOutput - std::min(kMaxOutput, text.size())));
  }
}

// Reads a pipe in the background.
class Collector {
 public:
  Collector(Loop& loop, const Fd& pipe, std::string& text)
      : fd_(pipe.get()), text_(text), watch_(loop, fd_) {
    set_nonblocking(fd_, true);
    collecting_.spawn(collect_to_end(), "collect a program's output");
  }
  // Reads what is left in the pipe, and stops.
  void finish() {
    collecting_.cancel();
    collect(fd_, text_);
  }

 private:
  Task<> collect_to_end() {
    while (collect(fd_, text_)) co_await watch_.readable();
  }
  int fd_;
  std::string& text_;
  Watch watch_;
  TaskSet collecting_;
};

// Waits for a child to exit, and kills it when `stop` is set or the wait is cancelled.
class ChildGuard {
 public:
  ChildGuard(Loop& loop, Child& child) : loop_(loop), child_(child) {}
  ~ChildGuard() { kill(); }
  ChildGuard(const ChildGuard&) = delete;
  ChildGuard& operator=(const ChildGuard&) = delete;

  // Throws Error if the child does not exit after SIGKILL.
  Task<> wait(Event* stop) {
    if (stop) tasks_.spawn(kill_on(*stop), "kill " + std::to_string(child_.pid()));
    tasks_.spawn(wait_for_exit(), "wait for " + std::to_string(child_.pid()));
    co_await done_.wait();
    if (!child_.exited())
      throw Error::unknown("process " + std::to_string(child_.pid()) +
                           " did not exit after SIGKILL");
  }

 private:
  Task<> wait_for_exit() {
    co_await child_.wait();
    done_.set();
  }
  Task<> kill_on(Event& stop) {
    co_await stop.wait();
    kill();
    co_await sleep(loop_, kKillTimeout);
    done_.set();
  }
  void kill() {
    if (!child_.exited()) ::kill(child_.pid(), SIGKILL);
  }
  Loop& loop_;
  Child& child_;
  Event done_;
  TaskSet tasks_;
};

// The fork sends its Error through a pipe: this header, then the text.
struct FailureHeader {
  int code;
  int errnum;
};

[[noreturn]] void work_in_fork(int report, pid_t parent, const std::function<void()>& work) {
  // A mount made after the shim's death would be missed by the shim's `delete`.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  // A hung child must not keep the shim's sockets and fifos open.
  if (report != 3) dup2(report, 3);
  close_from(4);
  for (int standard = 0; standard < 3; ++standard) close(standard);
  open("/dev/null", O_RDWR);
  open("/dev/null", O_RDWR);
  open("/dev/null", O_RDWR);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  try {
    work();
    _exit(0);
  } catch (const std::exception& failure) {
    const Error* error = dynamic_cast<const Error*>(&failure);
    FailureHeader header{static_cast<int>(error ? error->code() : Code::unknown),
                         error ? error->errnum() : 0};
    std::string message(reinterpret_cast<const char*>(&header), sizeof header);
    message += failure.what();
    message.resize(std::min<std::size_t>(message.size(), 32 << 10));  // fits into a pipe
    [[maybe_unused]] ssize_t n = ::write(3, message.data(), message.size());
  }
  _exit(1);
}

}  // namespace

Task<Output> run(Reaper& reaper, Command command, Event* stop, Stderr where) {
  Pipe pipe = make_pipe();
  Pipe stderr_pipe = where == Stderr::separate ? make_pipe() : Pipe();
  if (command.fds.size() < 3) command.fds.resize(3, -1);
  if (command.fds[1] < 0) command.fds[1] = pipe.write.get();
  if (command.fds[2] < 0)
    command.fds[2] = stderr_pipe.write ? stderr_pipe.write.get() : pipe.write.get();
  // Before the start: once it runs, the program must not be lost because something else fails.
  Output output;
  Collector stdout_collector(reaper.loop(), pipe.read, output.text);
  std::optional<Collector> stderr_collector;
  if (stderr_pipe.read)
    stderr_collector.emplace(reaper.loop(), stderr_pipe.read, output.stderr_text);
  Mutex::Guard turn = co_await reaper.turn();
  Child child = reaper.start_in_turn(std::move(command), std::move(turn));
  ChildGuard guard(reaper.loop(), child);
  pipe.write.reset();
  stderr_pipe.write.reset();
  co_await guard.wait(stop);
  stdout_collector.finish();
  if (stderr_collector) stderr_collector->finish();
  child.check_started();
  output.exit = child.exit();
  co_return output;
}

Task<> run_forked(Reaper& reaper, std::string what, std::function<void()> work, Event* stop) {
  Pipe pipe = make_pipe(0, what.c_str());
  // Not fork(): libuv's pthread_atfork(3) handler makes a pipe, which the child does not need, and
  // calls abort(3) if that fails.
  const pid_t self = getpid();
  pid_t pid = check(_Fork(), what.c_str());
  if (pid == 0) work_in_fork(pipe.write.get(), self, work);
  Child child = reaper.take(pid);
  pipe.write.reset();
  ChildGuard guard(reaper.loop(), child);
  co_await guard.wait(stop);
  std::string message;
  set_nonblocking(pipe.read.get(), true);
  collect(pipe.read.get(), message);
  if (child.exit().status == 0) co_return;
  if (message.size() < sizeof(FailureHeader))
    throw Error::unknown(what + ": the helper process exited with status " +
                         std::to_string(child.exit().status));
  FailureHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  throw Error(static_cast<Code>(header.code), message.substr(sizeof header), header.errnum);
}

Task<> run_forked_within(Reaper& reaper, Duration limit, std::string what,
                         std::function<void()> work, Event* stop) {
  Event over, timed_out;
  TaskSet limits;
  limits.spawn(set_later(reaper.loop(), limit, timed_out), "limit of a forked child");
  limits.spawn(propagate(timed_out, over), "stop a forked child");
  if (stop) limits.spawn(propagate(*stop, over), "cancel a forked child");
  std::exception_ptr failure;
  try {
    co_await run_forked(reaper, what, std::move(work), &over);
  } catch (const Error&) {
    failure = std::current_exception();
  }
  if (failure && timed_out.is_set())
    throw Error::unknown(what + ": timed out after " + duration_text(limit));
  if (failure) std::rethrow_exception(failure);
}

}  // namespace thinshim
