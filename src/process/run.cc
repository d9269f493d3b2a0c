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

constexpr std::size_t kKept = 64 << 10;
// What a process that was killed is given to end.
constexpr Duration kDying = std::chrono::seconds(2);

// Reads what is there; false at the end of the file.
bool collect(int fd, std::string& text) {
  char chunk[4096];
  for (;;) {
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n == 0) return false;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    text.append(chunk, std::min(static_cast<std::size_t>(n), kKept - std::min(kKept, text.size())));
  }
}

// Keeps what comes from a pipe, as long as somebody waits for it.
class Collector {
 public:
  Collector(Loop& loop, const Fd& pipe, std::string& text)
      : fd_(pipe.get()), text_(text), watch_(loop, fd_) {
    set_nonblocking(fd_, true);
    collecting_.spawn(collect_to_end(), "collect a program's output");
  }
  // Takes what is there.
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

// Waits for the end of a child, which comes by force once `stop` is set or nobody waits any more.
class Leash {
 public:
  Leash(Loop& loop, Child& child) : loop_(loop), child_(child) {}
  ~Leash() { pull(); }
  Leash(const Leash&) = delete;
  Leash& operator=(const Leash&) = delete;

  // Throws Error where it does not end though it was killed: it waits in the kernel.
  Task<> wait(Event* stop) {
    if (stop) pulling_.spawn(pull_once(*stop), "kill " + std::to_string(child_.pid()));
    pulling_.spawn(see_end(), "wait for " + std::to_string(child_.pid()));
    co_await over_.wait();
    if (!child_.exited())
      throw Error::unknown("process " + std::to_string(child_.pid()) + " cannot be killed");
  }

 private:
  Task<> see_end() {
    co_await child_.wait();
    over_.set();
  }
  Task<> pull_once(Event& stop) {
    co_await stop.wait();
    pull();
    co_await sleep(loop_, kDying);
    over_.set();
  }
  void pull() {
    if (!child_.exited()) ::kill(child_.pid(), SIGKILL);
  }
  Loop& loop_;
  Child& child_;
  Event over_;
  TaskSet pulling_;
};

// A failure crosses from the fork as its code, its errno and its text.
struct FailureHeader {
  int code;
  int errnum;
};

[[noreturn]] void work_in_fork(int report, pid_t parent, const std::function<void()>& work) {
  // `delete` would not see what is done after the shim's death.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  // A child that hangs must not keep the shim's sockets and fifos open.
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
    message.resize(std::min<std::size_t>(message.size(), 32 << 10));  // less than a pipe holds
    [[maybe_unused]] ssize_t n = ::write(3, message.data(), message.size());
  }
  _exit(1);
}

}  // namespace

Task<Output> run(Reaper& reaper, Command command, Event* stop, Stderr where) {
  Pipe pipe = make_pipe();
  Pipe complaints = where == Stderr::apart ? make_pipe() : Pipe();
  if (command.fds.size() < 3) command.fds.resize(3, -1);
  if (command.fds[1] < 0) command.fds[1] = pipe.write.get();
  if (command.fds[2] < 0)
    command.fds[2] = complaints.write ? complaints.write.get() : pipe.write.get();
  Mutex::Guard turn = co_await reaper.turn();
  Child child = reaper.start_in_turn(command, std::move(turn));
  pipe.write.reset();
  complaints.write.reset();

  Output output;
  Collector text(reaper.loop(), pipe.read, output.text);
  std::optional<Collector> rest;
  if (complaints.read) rest.emplace(reaper.loop(), complaints.read, output.complaints);
  Leash leash(reaper.loop(), child);
  Task<> ending = leash.wait(stop);
  co_await std::move(ending);
  text.finish();
  if (rest) rest->finish();
  child.check_started();
  output.exit = child.exit();
  co_return output;
}

Task<> run_forked(Reaper& reaper, std::string what, std::function<void()> work, Event* stop) {
  Pipe pipe = make_pipe(0, what.c_str());
  // Not fork(): what libuv has registered with pthread_atfork() makes a pipe, which the child has
  // no use for, and aborts where it cannot.
  const pid_t self = getpid();
  pid_t pid = check(_Fork(), what.c_str());
  if (pid == 0) work_in_fork(pipe.write.get(), self, work);
  Child child = reaper.take(pid);
  pipe.write.reset();
  Leash leash(reaper.loop(), child);
  Task<> ending = leash.wait(stop);
  co_await std::move(ending);
  std::string message;
  set_nonblocking(pipe.read.get(), true);
  collect(pipe.read.get(), message);
  if (child.exit().status == 0) co_return;
  if (message.size() < sizeof(FailureHeader))
    throw Error::unknown(what + ": the helper process ended with status " +
                         std::to_string(child.exit().status));
  FailureHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  throw Error(static_cast<Code>(header.code), message.substr(sizeof header), header.errnum);
}

}  // namespace thinshim
