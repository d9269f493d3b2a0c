// SPDX-License-Identifier: Apache-2.0
// Both ends of the streams, for the tests of stdio: the client's fifos and the process's pipes or
// terminal, in one thread, so that the test controls the order of events. After each test, no
// descriptor and no handle of the loop may be left.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include "async/loop.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "support/temp_dir.h"

namespace thinshim::test {

using namespace std::chrono_literals;

// A timeout that a passing test never reaches.
inline constexpr Duration kTestTimeout = 20s;

inline std::size_t open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(directory)) ++count;
  ::closedir(directory);
  return count;
}

// `size` bytes in which lost, repeated and swapped blocks can be detected.
inline std::string pattern(std::size_t size) {
  std::string text;
  text.reserve(size + 16);
  for (std::size_t line = 0; text.size() < size; ++line) text += std::to_string(line) + "\n";
  text.resize(size);
  return text;
}

inline int unread(int fd) {
  int size = 0;
  check(::ioctl(fd, FIONREAD, &size), "FIONREAD");
  return size;
}

// Reads `size` bytes, or up to end of file; leaves the rest.
inline Task<std::string> read_some(Loop& loop, int fd, std::size_t size) {
  Watch watch(loop, fd);
  std::string text;
  std::string chunk;
  while (text.size() < size) {
    chunk.resize(std::min<std::size_t>(size - text.size(), 64 << 10));
    ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n == 0 || (n < 0 && errno == EIO)) break;
    if (n > 0) text.append(chunk, 0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN) throw_errno("read in a test");
    if (n < 0) co_await watch.readable();
  }
  co_return text;
}

inline Task<> write_some(Loop& loop, int fd, std::string text) {
  Watch watch(loop, fd);
  std::size_t written = 0;
  while (written < text.size()) {
    ssize_t n = ::write(fd, text.data() + written, text.size() - written);
    if (n > 0) written += static_cast<std::size_t>(n);
    if (n < 0 && errno != EAGAIN) throw_errno("write in a test");
    if (n < 0) co_await watch.writable();
  }
}

inline Task<> write_and_close(Loop& loop, Fd fd, std::string text) {
  co_await write_some(loop, fd.get(), std::move(text));
}

inline Task<> failure_of(Task<> task, std::string& failure) {
  try {
    co_await std::move(task);
  } catch (const Error& error) {
    failure = error.what();
  }
}

inline Task<> pass_turns(Loop& loop, int turns) {
  for (int i = 0; i < turns; ++i) co_await yield(loop);
}
inline Task<> pass_time(Loop& loop, Duration time) { co_await sleep(loop, time); }

class StdioTest : public testing::Test {
 protected:
  StdioTest() { ::signal(SIGPIPE, SIG_IGN); }  // as in the shim
  void TearDown() override {
    streams_gone();
    log::set_sink(Fd());
    log_.reset();
    EXPECT_EQ(loop_.close(), 0) << "a handle was leaked";
    EXPECT_EQ(open_descriptors(), descriptors_before_) << "a descriptor was leaked";
  }
  // Destroys the members of a derived fixture.
  virtual void streams_gone() {}

  std::string make_fifo(const std::string& name) {
    std::string path = dir_ / name;
    check(::mkfifo(path.c_str(), 0600), "mkfifo");
    return path;
  }
  // Opens both ends, so that nothing blocks.
  static Fd open_reader(const std::string& fifo) { return open_file(fifo, O_RDONLY | O_NONBLOCK); }
  static Fd open_writer(const std::string& fifo) { return open_file(fifo, O_WRONLY | O_NONBLOCK); }

  // Runs the task; throws after the timeout.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result = loop_.run(within(loop_, kTestTimeout, std::move(task)));
    if (!result) throw std::runtime_error("timed out");
    return std::move(*result);
  }
  void run(Task<> task) {
    if (!loop_.run(within(loop_, kTestTimeout, std::move(task))))
      throw std::runtime_error("timed out");
  }
  std::string read(const Fd& fd, std::size_t size) { return run(read_some(loop_, fd.get(), size)); }
  std::string read_to_end(const Fd& fd) { return read(fd, SIZE_MAX); }
  // Whether read(2) returns end of file now.
  static bool at_end(const Fd& fd) {
    char byte;
    return ::read(fd.get(), &byte, 1) == 0;
  }
  void write(const Fd& fd, const std::string& text) { run(write_some(loop_, fd.get(), text)); }
  // Runs the loop until all pending work is done.
  void settle() { loop_.run(pass_turns(loop_, 20)); }

  // CPU milliseconds that the loop, or a process, uses in 100 idle milliseconds. A busy loop uses
  // most of them.
  double busy_milliseconds() { return busy_milliseconds_of(::getpid()); }
  double busy_milliseconds_of(pid_t process) {
    clockid_t clock;
    if (::clock_getcpuclockid(process, &clock) != 0) throw std::runtime_error("it is gone");
    settle();
    timespec begin{}, end{};
    ::clock_gettime(clock, &begin);
    loop_.run(pass_time(loop_, 100ms));
    ::clock_gettime(clock, &end);
    return static_cast<double>(end.tv_sec - begin.tv_sec) * 1e3 +
           static_cast<double>(end.tv_nsec - begin.tv_nsec) / 1e6;
  }

  void keep_log() {
    Pipe pipe = make_pipe(O_NONBLOCK);
    log_ = std::move(pipe.read);
    log::set_sink(std::move(pipe.write));
  }
  // Bytes read so far.
  int logged_size() const { return unread(log_.get()); }
  std::string logged() {
    log::set_sink(Fd());
    return read_to_end(log_);
  }

  TempDir dir_;

 private:
  // libuv's first loop opens descriptors that stay for the life of the process.
  static std::size_t descriptors_without_a_loop() {
    Loop().close();
    return open_descriptors();
  }
  std::size_t descriptors_before_ = descriptors_without_a_loop();
  Fd log_;

 protected:
  Loop loop_;
};

}  // namespace thinshim::test
