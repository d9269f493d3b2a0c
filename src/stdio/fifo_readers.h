// SPDX-License-Identifier: Apache-2.0
// Waits until a client opens a fifo for reading (again). poll(2) does not report that to the
// writer, but inotify(7) reports each open(2) of the file, so streams without a reader cause no
// wakeups. All streams share one inotify instance, because a user may have 128 only; it is open
// while there is a stream to wait for. Without inotify, all fifos are polled, once per second at
// last.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"

namespace thinshim {

// Whether the pipe or fifo with the write end `end` is open for reading. True for other files.
bool has_reader(const Fd& end);

class FifoReaders {
 public:
  explicit FifoReaders(Loop& loop) : loop_(loop) {}
  FifoReaders(const FifoReaders&) = delete;
  FifoReaders& operator=(const FifoReaders&) = delete;

  // Returns once the fifo with the write end `end` has a reader. The task must not outlive `end` or
  // this object.
  Task<> wait_for(const Fd& end);

 private:
  class Waiter;
  struct Inotify {
    Inotify(Loop& loop, Fd instance) : fd(std::move(instance)), watch(loop, fd.get()) {}
    Fd fd;
    Watch watch;
  };
  // Returns the watch descriptor; -1 if inotify(7) fails.
  int add_watch(const Fd& end);
  void remove_watch(int number);
  Task<> read_events();
  Task<> poll_periodically();

  Loop& loop_;
  Event changed_;  // set when waiters must check their fifos
  int waiters_ = 0;
  std::map<int, int> watches_;  // watch descriptor -> number of its waiters
  std::optional<Inotify> inotify_;
  TaskSet reading_events_;
  TaskSet polling_;
};

}  // namespace thinshim
