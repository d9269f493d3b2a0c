// SPDX-License-Identifier: Apache-2.0
// What `delete` does for one container or for several that have a shim in common: their runtimes
// remove what they know, then mounts, cgroups and files go. Each step is taken whatever became of
// the one before; what has failed is told on stderr, which containerd logs.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/sync.h"
#include "oci/bundle.h"
#include "oci/group_record.h"
#include "process/reaper.h"
#include "shim/arguments.h"

namespace thinshim {

// containerd ends us after 5 s, whatever is done by then: all waiting together is over before. The
// last second is for what a dead runtime left in its groups, whoever was waited for until then.
inline constexpr std::chrono::milliseconds kDeletionPatience{3000};
inline constexpr std::chrono::milliseconds kPatienceWithGroups{1000};

// Who calls the runtimes.
struct Caller {
  Loop loop;
  Reaper reaper{loop};
};

// What was asked for, and what all steps of it share.
struct Deletion {
  const Arguments& arguments;
  const Bundle& bundle;      // of the container that `delete` is for
  std::string address = {};  // of the shim; empty where unknown
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::now() + kDeletionPatience;
  bool done = true;                   // whether all is gone that was to go
  std::optional<Caller> caller = {};  // there where something is to be called

  Caller& call() {
    if (!caller) caller.emplace();
    return *caller;
  }
};

// Tells stderr.
void warn(const std::string& what, const std::string& reason);
// Takes a step. Returns whether it succeeded; where not, tells why.
bool attempt(const std::string& what, const std::function<void()>& step);

// A container of which something may be left.
struct Remains {
  GroupMember container;  // without what stands in its config.json, unless it is recorded
  bool recorded = false;  // its bundle may be gone
  bool sure = true;       // whether this is what it was made with
};

// Whether another's container has its id by now: ids and bundles come back while we wait, of those
// who shared the shim. Throws Error.
bool is_anothers_by_now(const GroupMember& container, const Deletion& deletion);

// The clean-up after containers that have, or had, one shim in common.
class Cleaning {
 public:
  Cleaning(std::vector<Remains> all, Deletion& deletion)
      : all_(std::move(all)), deletion_(deletion) {}

  // Has the runtimes remove what they know, and waits for them, until the time is over at most.
  void begin();
  // Waits until they are done, and removes what else there is.
  void finish();

 private:
  void wait_for_their_makers();
  void remove_state(const Remains& one);
  Task<> removed_by(std::chrono::steady_clock::time_point end);
  void remove_rest(const Remains& one);

  std::vector<Remains> all_;
  Deletion& deletion_;
  std::set<std::string> known_;  // ids of those that a runtime has, or had
  TaskSet removing_;
};

}  // namespace thinshim
