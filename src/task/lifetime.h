// SPDX-License-Identifier: Apache-2.0
// When a shim without containers exits: three deadlines on the loop's clock.
//
// - An expected container: `start` has told the shim that a Create for it will come. The shim does
//   not exit before that, for `expect_timeout` at most.
// - The idle timeout, from the last container's deletion on, without a Shutdown: none comes where
//   containerd was killed between `start` and Create, or where the client of the last Delete has
//   disconnected (containerd issues 6860, 11916). A new shim waits at least `expect_timeout` for
//   its first container.
// - The shutdown delay, from then on too, where a Shutdown came while there were containers:
// clients
//   call it once (containerd issue 12344). The client of the last Delete is about to call it again,
//   and a connection that is closed right after a response may cost a Go client the response.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "async/loop.h"
#include "async/sync.h"

namespace thinshim {

class Lifetime {
 public:
  struct Settings {
    Duration idle_timeout = std::chrono::seconds(30);
    Duration shutdown_delay = std::chrono::seconds(3);
    Duration expect_timeout = std::chrono::seconds(10);
    // Called when the shim is to exit; again at the next deadline where it has not.
    std::function<void()> end;
  };
  Lifetime(Loop& loop, Settings settings);
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  void expect(const std::string& id);
  // Its Create has come.
  void arrived(const std::string& id);
  bool expects() const { return !expected_.empty(); }

  // What the shim is doing. `undo`: it only undoes Creates whose clients are gone. It is not idle
  // then, but exits after a Shutdown.
  enum class Work { none, undo, containers };
  void set_work(Work work);
  // Exits at once where there are no containers and none are expected, else once that is so.
  void request_shutdown();

 private:
  using Deadline = std::optional<std::uint64_t>;  // milliseconds of the loop's clock
  bool is_needed() const { return work_ == Work::containers || expects(); }
  std::uint64_t after(Duration time) const;
  void update();
  void handle_deadlines();
  Deadline next() const;
  Task<> watch();

  Loop& loop_;
  Settings settings_;
  Work work_ = Work::none;
  bool shutdown_requested_ = false;
  std::map<std::string, std::uint64_t> expected_;  // deadlines
  Deadline idle_deadline_;
  Deadline shutdown_deadline_;
  Event changed_;
  TaskSet watching_;
};

}  // namespace thinshim
