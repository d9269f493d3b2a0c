// SPDX-License-Identifier: Apache-2.0
// How long the shim stays when it has no container: three deadlines on the loop's clock, and one
// place that waits for the next of them.
//
// - An expectation: `start` has sent a container here. Until its Create has come, for a while at
//   most, the shim does not end.
// - The idle time, since the last container went: nobody asks a shim for its end whose containerd
//   was killed between `start` and Create, or whose last Delete's client has gone (containerd
//   issues 6860, 11916). The first container, for which the shim was made, has as long as one that
//   is expected, however short the idle time is.
// - The farewell, since then too, where the end was asked for while there were containers: clients
//   ask once (containerd issue 12344). But whoever took the last container away is about to ask for
//   the end himself, and a connection that closes right behind an answer may cost a Go client the
//   answer.
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
    Duration farewell = std::chrono::seconds(3);
    Duration expectation = std::chrono::seconds(10);
    // Called when nothing keeps the shim any more; again where it has not ended by the next time.
    std::function<void()> end;
  };
  Lifetime(Loop& loop, Settings settings);
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  void expect(const std::string& id);
  void arrived(const std::string& id);
  bool expects() const { return !expected_.empty(); }

  // What the shim has to do. `unwanted` is what it undoes for clients that have gone: it is not
  // idle then, but does not stay for it where the end was asked for.
  enum class Work { none, unwanted, wanted };
  void set_work(Work work);
  // Ends at once where nothing is wanted or expected, else once that is so.
  void ask_for_end();

 private:
  using Deadline = std::optional<std::uint64_t>;  // milliseconds of the loop's clock
  bool is_wanted() const { return work_ == Work::wanted || expects(); }
  std::uint64_t in(Duration time) const;
  void update();
  void end_what_is_over();
  Deadline next() const;
  Task<> watch();

  Loop& loop_;
  Settings settings_;
  Work work_ = Work::none;
  bool end_is_asked_ = false;
  std::map<std::string, std::uint64_t> expected_;  // until when
  Deadline idle_;
  Deadline farewell_;
  Event changed_;
  TaskSet watching_;
};

}  // namespace thinshim
