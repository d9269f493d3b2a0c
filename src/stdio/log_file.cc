// SPDX-License-Identifier: Apache-2.0
#include "stdio/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"

namespace thinshim {
namespace {

constexpr int kReports = 5;
constexpr std::size_t kLogFileChunk = 16 << 10;

bool report(const void* data, std::size_t size) {
  return ::write(kReports, data, size) == static_cast<ssize_t>(size);
}

class LogFile {
 public:
  explicit LogFile(const std::string& path);
  // Returns when both streams are at end of file.
  void copy_streams();

 private:
  struct Stream {
    int fd;  // -1 after end of file
    LogFileReport report;
  };
  void copy_from(Stream& stream);
  int append(std::string_view& rest);

  Fd file_;
  bool is_regular_ = false;
  bool is_broken_ = false;  // a fifo without a reader
  Stream streams_[2] = {{3, {3}}, {4, {4}}};
};

LogFile::LogFile(const std::string& path) {
  make_directories(directory_of(path), 0755);
  file_ = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, 0644);
  struct stat status{};
  check(::fstat(file_.get(), &status), "fstat");
  is_regular_ = S_ISREG(status.st_mode);
  // The shim sends SIGTERM to loggers that do not exit. If the disk hangs, the output must still be
  // written when it recovers.
  if (is_regular_) ::signal(SIGTERM, SIG_IGN);
}

void LogFile::copy_streams() {
  while (streams_[0].fd >= 0 || streams_[1].fd >= 0) {
    pollfd ready[] = {{streams_[0].fd, POLLIN, 0}, {streams_[1].fd, POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) throw_errno("poll");
    for (int i : {0, 1})
      if (ready[i].revents != 0) copy_from(streams_[i]);
  }
}

void LogFile::copy_from(Stream& stream) {
  static char chunk[kLogFileChunk];
  LogFileReport& current = stream.report;
  ssize_t n = ::read(stream.fd, chunk, sizeof chunk);
  if (n < 0 && errno == EINTR) return;
  if (n <= 0) {
    current.errnum = 0;
    if (current.lost > 0) report(&current, sizeof current);
    stream.fd = -1;
    return;
  }
  std::string_view rest(chunk, static_cast<std::size_t>(n));
  const int errnum = is_broken_ ? EPIPE : append(rest);
  if (errnum == 0) return;
  current.errnum = errnum;
  if (current.lost == 0) report(&current, sizeof current);
  current.lost += rest.size();
  is_broken_ = errnum == EPIPE;
}

// Removes what was written from `rest`. Returns the errno, 0 if all was written.
int LogFile::append(std::string_view& rest) {
  while (!rest.empty()) {
    ssize_t n = ::write(file_.get(), rest.data(), rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN && !is_regular_) {
      pollfd room{file_.get(), POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Command log_file_command(const std::string& path) {
  Command command;
  command.program = "/proc/self/exe";  // the same version, even if the binary was replaced
  command.name = kLogFileProgram;
  command.arguments = {path};
  return command;
}

bool is_log_file(int count, char** words) {
  return count == 2 && words[0] == std::string_view(kLogFileProgram);
}

int run_log_file(const std::string& path) {
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_NAME, kLogFileProgram);
  bool ready = false;
  try {
    LogFile file(path);
    ready = report("", 1);  // fails if the shim has closed the pipe
    if (ready) file.copy_streams();
    return ready ? 0 : 1;
  } catch (const std::exception& failure) {
    const std::string_view text = failure.what();
    if (!ready) report(text.data(), text.size());
  }
  return 1;
}

}  // namespace thinshim
