// SPDX-License-Identifier: Apache-2.0
#include "support/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <system_error>
#include <utility>

namespace thinshim::test {
namespace {

// Read at the start: in a chroot, /proc of a test's own namespaces has another path.
const std::filesystem::path kThisProgram = std::filesystem::read_symlink("/proc/self/exe");

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct Pipe {
  int read = -1;
  int write = -1;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  return {ends[0], ends[1]};
}

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

}  // namespace

std::filesystem::path built_program(const std::string& name) {
  return kThisProgram.parent_path().parent_path() / name;
}

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  stream << (outcome.timed_out ? "timed out" : "exit code " + std::to_string(outcome.exit_code));
  return stream << "\n--- stdout\n" << outcome.out << "\n--- stderr\n" << outcome.err << "\n---\n";
}

Subprocess::Subprocess(std::vector<std::string> argv, SubprocessOptions options) {
  Pipe in = make_pipe();
  Pipe out;
  Pipe err;
  if (options.log.empty()) {
    out = make_pipe();
    err = make_pipe();
  } else {
    out.write = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out.write < 0) fail("open " + options.log.string());
    err.write = fcntl(out.write, F_DUPFD_CLOEXEC, 0);
  }
  Pipe failure = make_pipe();  // carries errno when exec fails, closed by a successful exec

  std::vector<char*> arguments;
  for (std::string& argument : argv) arguments.push_back(argument.data());
  arguments.push_back(nullptr);

  // A program that stops reading must not kill the test; the program itself has the default.
  ::signal(SIGPIPE, SIG_IGN);
  pid_ = fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    ::signal(SIGPIPE, SIG_DFL);
    for (std::string& variable : options.environment) putenv(variable.data());
    const bool moved = options.directory.empty() || chdir(options.directory.c_str()) == 0;
    if (moved && dup2(in.read, 0) == 0 && dup2(out.write, 1) == 1 && dup2(err.write, 2) == 2) {
      execvp(arguments[0], arguments.data());
    }
    const int reason = errno;
    [[maybe_unused]] const ssize_t told = ::write(failure.write, &reason, sizeof reason);
    _exit(127);
  }
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  in_ = in.write;
  out_fd_ = out.read;
  err_fd_ = err.read;
  close_fd(in.read);
  close_fd(out.write);
  close_fd(err.write);
  close_fd(failure.write);
  int reason = 0;
  const bool failed = ::read(failure.read, &reason, sizeof reason) > 0;
  close_fd(failure.read);
  if (failed) {
    errno = reason;
    fail("exec " + argv[0]);
  }
  fcntl(in_, F_SETFL, O_NONBLOCK);
  write(options.input);
  if (!options.keep_input_open) close_input();
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::exchange(other.pidfd_, -1)),
      in_(std::exchange(other.in_, -1)),
      out_fd_(std::exchange(other.out_fd_, -1)),
      err_fd_(std::exchange(other.err_fd_, -1)),
      pending_input_(std::move(other.pending_input_)),
      keep_input_open_(other.keep_input_open_),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      status_(std::exchange(other.status_, std::nullopt)) {}

Subprocess::~Subprocess() {
  if (pid_ > 0 && !status_) {
    signal(SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close_fd(pidfd_);
  close_fd(in_);
  close_fd(out_fd_);
  close_fd(err_fd_);
}

void Subprocess::signal(int number) {
  if (!status_) kill(pid_, number);
}

void Subprocess::write(const std::string& text) {
  pending_input_ += text;
  write_pending();
}

void Subprocess::close_input() {
  keep_input_open_ = false;
  write_pending();
}

void Subprocess::write_pending() {
  while (in_ >= 0 && !pending_input_.empty()) {
    const ssize_t n = ::write(in_, pending_input_.data(), pending_input_.size());
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return close_fd(in_);  // the program has closed its stdin
    pending_input_.erase(0, static_cast<size_t>(n));
  }
  if (!keep_input_open_) close_fd(in_);
}

bool Subprocess::read_from(int& fd, std::string& text) {
  char block[65536];
  const ssize_t n = ::read(fd, block, sizeof block);
  if (n > 0) {
    text.append(block, static_cast<size_t>(n));
    return true;
  }
  if (n == 0) close_fd(fd);
  return false;
}

// Waits for output, for room for input, or for the exit; reads and writes what is possible.
void Subprocess::pump(Duration limit) {
  pollfd fds[] = {{out_fd_, POLLIN, 0},
                  {err_fd_, POLLIN, 0},
                  {status_ ? -1 : pidfd_, POLLIN, 0},
                  {pending_input_.empty() ? -1 : in_, POLLOUT, 0}};
  if (poll(fds, 4, static_cast<int>(limit.count())) <= 0) return;
  if (fds[3].revents != 0) write_pending();
  if (fds[0].revents != 0) read_from(out_fd_, out_);
  if (fds[1].revents != 0) read_from(err_fd_, err_);
  if (fds[2].revents != 0) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  }
}

bool Subprocess::wait_for_output(const std::string& text, Duration limit) {
  const auto end = Clock::now() + limit;
  while (out_.find(text) == std::string::npos) {
    if ((status_ && out_fd_ < 0) || Clock::now() >= end) return false;
    pump(time_left(end));
  }
  return true;
}

bool Subprocess::has_ended() {
  pump(Duration(0));
  return status_.has_value();
}

Outcome Subprocess::wait(Duration limit) {
  Outcome outcome;
  const auto end = Clock::now() + limit;
  while (!status_) {
    if (Clock::now() >= end) {
      outcome.timed_out = true;
      signal(SIGKILL);
      int status = 0;
      waitpid(pid_, &status, 0);
      status_ = status;
    } else {
      pump(time_left(end));
    }
  }
  // Its descendants may keep the pipes open: reads what is there, and does not wait for more.
  for (int* fd : {&out_fd_, &err_fd_}) {
    if (*fd >= 0) fcntl(*fd, F_SETFL, O_NONBLOCK);
  }
  while (out_fd_ >= 0 && read_from(out_fd_, out_)) {
  }
  while (err_fd_ >= 0 && read_from(err_fd_, err_)) {
  }
  outcome.exit_code = WIFSIGNALED(*status_) ? 128 + WTERMSIG(*status_) : WEXITSTATUS(*status_);
  outcome.out = out_;
  outcome.err = err_;
  return outcome;
}

Outcome run(std::vector<std::string> argv, SubprocessOptions options, Duration limit) {
  return Subprocess(std::move(argv), std::move(options)).wait(limit);
}

}  // namespace thinshim::test
