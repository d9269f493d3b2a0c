// SPDX-License-Identifier: Apache-2.0
// Waiting for the reader of a fifo to come (back). A fifo tells its writer nothing of that, but
// inotify(7) tells of whoever opens the file: so any number of streams that nobody reads wake
// nobody. One instance of inotify serves all, because a user may have 128 only; it is open while
// there is somebody to wait for. Where none is to be had, one look a second serves all instead.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "async/loop.h"
#include "async/sync.h"
#include "base/fd.h"

namespace thinshim {

// Whether somebody reads the pipe or fifo of which `end` is a write end; true for what is none.
bool has_reader(const Fd& end);

class AbsentReaders {
 public:
  explicit AbsentReaders(Loop& loop) : loop_(loop) {}
  AbsentReaders(const AbsentReaders&) = delete;
  AbsentReaders& operator=(const AbsentReaders&) = delete;

  // Returns once the fifo has a reader of which `end` is a write end. The task must not outlive
  // either of the two.
  Task<> wait_for(const Fd& end);

 private:
  class Waiter;
  struct Inotify {
    Inotify(Loop& loop, Fd instance) : fd(std::move(instance)), watch(loop, fd.get()) {}
    Fd fd;
    Watch watch;
  };
  // The number of the watch; -1 where there is none to be had.
  int add_watch(const Fd& end);
  void remove_watch(int number);
  Task<> read_news();
  Task<> look_now_and_then();

  Loop& loop_;
  Event news_;
  int waiters_ = 0;
  std::map<int, int> watches_;  // and how many wait for each
  std::optional<Inotify> inotify_;
  TaskSet hearing_;
  TaskSet looking_;
};

}  // namespace thinshim
